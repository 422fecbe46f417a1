#include "cli/table.h"

#include <cstdint>
#include <limits>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Print(const Table& table, Format format, int width = 0) {
  std::ostringstream out;
  table.Print(out, format, width);
  return out.str();
}

Table Example() {
  Table table({{"trial"}, {"val_accuracy", Display::kFraction}, {"params", Display::kCount}});
  table.AddRow({"a/1", 0.91236, int64_t{123456}});
  table.AddRow({"a/22", Cell(), int64_t{7}});
  return table;
}

TEST(TableTest, ColumnsLineUpAndNumbersStandRight) {
  EXPECT_EQ(Print(Example(), Format::kTable),
            "TRIAL  VAL ACCURACY   PARAMS\n"
            "a/1          0.9124  123,456\n"
            "a/22              -        7\n");
}

TEST(TableTest, OtherFormatsKeepExactValues) {
  EXPECT_EQ(Print(Example(), Format::kJsonl),
            "{\"trial\":\"a/1\",\"val_accuracy\":0.91236,\"params\":123456}\n"
            "{\"trial\":\"a/22\",\"val_accuracy\":null,\"params\":7}\n");
  EXPECT_EQ(Print(Example(), Format::kJson),
            "[\n {\"trial\":\"a/1\",\"val_accuracy\":0.91236,\"params\":123456},\n"
            " {\"trial\":\"a/22\",\"val_accuracy\":null,\"params\":7}\n]\n");
  EXPECT_EQ(Print(Example(), Format::kCsv), "trial,val_accuracy,params\na/1,0.91236,123456\na/22,,7\n");
}

TEST(TableTest, AnEmptyTableIsStillValid) {
  const Table table({{"trial"}});
  EXPECT_EQ(Print(table, Format::kJson), "[]\n");
  EXPECT_EQ(Print(table, Format::kJsonl), "");
  EXPECT_EQ(Print(table, Format::kCsv), "trial\n");
  EXPECT_EQ(Print(table, Format::kTable), "TRIAL\n");
}

TEST(TableTest, CsvQuotesWhatNeedsIt) {
  Table table({{"text"}});
  table.AddRow({"a,b"});
  table.AddRow({"say \"x\"\n"});
  EXPECT_EQ(Print(table, Format::kCsv), "text\n\"a,b\"\n\"say \"\"x\"\"\n\"\n");
}

TEST(TableTest, TimesAndDurationsAreForPeopleInTablesOnly) {
  Table table({{"at", Display::kTime}, {"took", Display::kDuration}});
  table.AddRow({int64_t{1772368496123456}, int64_t{200000}});
  table.AddRow({int64_t{0}, Cell()});
  EXPECT_EQ(Print(table, Format::kTable),
            "AT                       TOOK\n2026-03-01 12:34:56  3 m 20 s\n-                           -\n");
  EXPECT_EQ(Print(table, Format::kCsv), "at,took\n2026-03-01T12:34:56.123456Z,200000\n,\n");
}

TEST(TableTest, LinesAreCutToTheTerminalsWidth) {
  EXPECT_EQ(Print(Example(), Format::kTable, 10), "TRIAL  ...\na/1    ...\na/22   ...\n");
}

TEST(TableTest, NothingMovesTheTerminalsCursor) {
  Table table({{"name"}});
  table.AddRow({"\x1b[2Jevil\r"});
  EXPECT_THAT(Print(table, Format::kTable), Not(HasSubstr("\x1b")));
  EXPECT_THAT(Print(table, Format::kTable), HasSubstr("?[2Jevil?"));
}

TEST(TableTest, WidthCountsCharactersNotBytes) {
  Table table({{"name"}, {"n", Display::kCount}});
  table.AddRow({"größe", int64_t{1}});
  table.AddRow({"abcde", int64_t{2}});
  EXPECT_EQ(Print(table, Format::kTable), "NAME   N\ngröße  1\nabcde  2\n");
  EXPECT_EQ(CutTo("größenwahn", 6), "grö...");
}

TEST(TableTest, AColumnOfUnknownKindStandsAsItsValuesSay) {
  Table table({{"name", Display::kNumber}, {"n", Display::kNumber}});
  table.AddRow({"a", int64_t{10}});
  table.AddRow({"bcdef", int64_t{2}});
  EXPECT_EQ(Print(table, Format::kTable), "NAME    N\na      10\nbcdef   2\n");
}

TEST(TableTest, NonFiniteNumbersAreTexts) {
  Table table({{"x", Display::kNumber}});
  table.AddRow({std::numeric_limits<double>::quiet_NaN()});
  EXPECT_EQ(Print(table, Format::kJsonl), "{\"x\":\"nan\"}\n");
}

TEST(FormatTest, OnlyKnownNamesAreFormats) {
  EXPECT_EQ(*ParseFormat("csv"), Format::kCsv);
  EXPECT_FALSE(ParseFormat("xml").ok());
}

}  // namespace
}  // namespace canopy::cli
