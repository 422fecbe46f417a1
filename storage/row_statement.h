#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/status.h"
#include "storage/database.h"
#include "storage/row_mapping.h"

namespace canopy::storage {

// Binds a record's columns to a statement's ?, in the order in which its Visit names them. Texts are bound
// where they lie.
class RowBinder {
 public:
  explicit RowBinder(Statement& statement) : statement_(statement) {}
  template <typename T>
  void operator()(std::string_view, const T& value) {
    if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double>)
      statement_.Bind(++count_, value);
    else if constexpr (std::is_same_v<T, std::string>)
      statement_.Bind(++count_, std::string_view(value));
    else if constexpr (requires { model::ToString(value); })
      statement_.Bind(++count_, model::ToString(value));
    else
      statement_.Bind(++count_, ToSql(value));
  }
  void Reference(std::string_view, int64_t id) {
    if (id == 0)
      statement_.Bind(++count_, nullptr);
    else
      statement_.Bind(++count_, id);
  }
  void Add(std::string_view, const SqlValue& value) { statement_.Bind(++count_, value); }
  int count() const { return count_; }

 private:
  Statement& statement_;
  int count_ = 0;
};

// One INSERT or UPDATE for all records of a kind, prepared when the first one comes.
class RowStatement {
 public:
  // `text` makes the statement of the records' columns.
  explicit RowStatement(std::function<std::string(const ColumnWriter&)> text) : text_(std::move(text)) {}
  static RowStatement Insert(std::string table, std::string end = "") {
    return RowStatement([table = std::move(table), end = std::move(end)](const ColumnWriter& columns) {
      return columns.InsertInto(table) + end;
    });
  }
  static RowStatement Update(std::string table, std::string key) {
    return RowStatement([table = std::move(table), key = std::move(key)](const ColumnWriter& columns) {
      return columns.Update(table, key);
    });
  }

  // Writes the columns that `visit` gives to the visitor it is called with, the same ones in each call, with
  // `others` for the ? behind them. Gives the number of rows that it changed.
  template <typename Visit>
  StatusOr<int64_t> Run(Database& database, const Visit& visit, std::initializer_list<SqlValue> others = {}) {
    if (!statement_.prepared()) {
      ColumnWriter columns;
      visit(columns);
      CANOPY_ASSIGN_OR_RETURN(statement_, database.Prepare(text_(columns)));
    }
    RowBinder row(statement_);
    visit(row);
    for (const SqlValue& value : others) row.Add("", value);
    return statement_.Run(row.count());
  }

 private:
  std::function<std::string(const ColumnWriter&)> text_;
  Statement statement_;
};

}  // namespace canopy::storage
