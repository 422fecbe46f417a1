#include "config/credentials.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/random.h"
#include "base/strings.h"

namespace canopy::config {
namespace {

constexpr std::string_view kUriPrefix = "canopy://role/";
constexpr int kValidDays = 3650;
constexpr int64_t kMaxPemBytes = 1 << 20;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;

Bio ReadBio(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Certificate ParseCertificate(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(ReadBio(pem).get(), nullptr, nullptr, nullptr));
}

Key ParseKey(const std::string& pem) {
  return Key(PEM_read_bio_PrivateKey(ReadBio(pem).get(), nullptr, nullptr, nullptr));
}

template <typename Write>
std::string ToPem(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return "";
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string ToPem(X509* certificate) {
  return ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::string ToPem(EVP_PKEY* key) {
  return ToPem(
      [&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

// What makes a certificate: its extensions are those of its use.
struct Subject {
  std::string common_name;
  bool authority = false;
  std::string alternative_names;  // "URI:canopy://role/user/ada,DNS:node1", empty for the authority
  bool server = false;
};

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool SetSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
  bytes[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(bytes, sizeof(bytes), nullptr);
  const bool set =
      number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return set;
}

bool AddExtensions(X509* certificate, X509* issuer, const Subject& subject) {
  if (!AddExtension(certificate, issuer, NID_basic_constraints,
                    subject.authority ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") ||
      !AddExtension(certificate, issuer, NID_key_usage,
                    subject.authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") ||
      !AddExtension(certificate, issuer, NID_subject_key_identifier, "hash"))
    return false;
  if (subject.authority) return true;
  return AddExtension(certificate, issuer, NID_ext_key_usage, subject.server ? "serverAuth" : "clientAuth") &&
         AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
         AddExtension(certificate, issuer, NID_subject_alt_name, subject.alternative_names);
}

// A certificate for `key`, signed with the issuer's key: by itself where `issuer` is nullptr.
StatusOr<Certificate> Sign(const Subject& subject, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  Certificate certificate(X509_new());
  X509* const x = certificate.get();
  if (issuer == nullptr) issuer = x;
  const auto* name = reinterpret_cast<const unsigned char*>(subject.common_name.c_str());
  const bool made =
      x != nullptr && X509_set_version(x, 2) == 1 && SetSerial(x) &&
      X509_gmtime_adj(X509_getm_notBefore(x), -3600) != nullptr &&
      X509_time_adj_ex(X509_getm_notAfter(x), kValidDays, 0, nullptr) != nullptr &&
      X509_set_pubkey(x, key) == 1 &&
      X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, name, -1, -1, 0) == 1 &&
      X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 && AddExtensions(x, issuer, subject) &&
      X509_sign(x, issuer_key, EVP_sha256()) != 0;
  if (!made) return Internal("OpenSSL could not make the certificate of " + subject.common_name);
  return certificate;
}

StatusOr<Key> NewKey() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return Internal("OpenSSL could not make an ECDSA P-256 key");
  return key;
}

Status WriteKeyAndCertificate(const std::string& stem, EVP_PKEY* key, X509* certificate) {
  CANOPY_RETURN_IF_ERROR(WriteFileDurably(stem + ".key", ToPem(key), 0600));
  return WriteFileDurably(stem + ".crt", ToPem(certificate), 0600);
}

struct Authority {
  Key key;
  Certificate certificate;
  std::string pem;
};

// A key, and a certificate for it that the authority signs, as <stem>.key and <stem>.crt.
Status Issue(const Authority& authority, const Subject& subject, const std::string& stem) {
  CANOPY_ASSIGN_OR_RETURN(const Key key, NewKey());
  CANOPY_ASSIGN_OR_RETURN(const Certificate certificate,
                          Sign(subject, key.get(), authority.certificate.get(), authority.key.get()));
  return WriteKeyAndCertificate(stem, key.get(), certificate.get());
}

StatusOr<std::string> ReadPem(const std::string& path, bool secret) {
  struct stat info {};
  if (secret && ::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0)
    return PermissionDenied(path + ": others than its owner may read this key; `chmod 600` it");
  StatusOr<std::string> pem = ReadFile(path, kMaxPemBytes);
  if (absl::IsNotFound(pem.status()))
    return NotFound(path +
                    ": no such credential; `canopy cluster init` makes the controller's and a user's, " +
                    "`canopy cluster add-worker` a worker's");
  return pem;
}

Status CheckSigned(X509* certificate, X509* authority, const std::string& path) {
  const std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  if (!store || !context || X509_STORE_add_cert(store.get(), authority) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate, nullptr) != 1)
    return Internal("OpenSSL could not check " + path);
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  return FailedPrecondition(path + ": not valid under the ca.crt beside it: " +
                            X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())) +
                            "; make a new credential with `canopy cluster`");
}

StatusOr<Authority> LoadAuthority(const std::string& folder) {
  Authority authority;
  CANOPY_ASSIGN_OR_RETURN(authority.pem, ReadPem(folder + "/ca.crt", false));
  CANOPY_ASSIGN_OR_RETURN(const std::string key_pem, ReadPem(folder + "/ca.key", true));
  authority.certificate = ParseCertificate(authority.pem);
  authority.key = ParseKey(key_pem);
  if (!authority.certificate || !authority.key ||
      X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1)
    return DataLoss(folder + ": ca.crt and ca.key are damaged or don't belong together; restore both");
  return authority;
}

bool IsIpAddress(const std::string& host) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(address);
  return address != nullptr;
}

// OpenSSL reads the names as one comma-separated text: what could break out of it is refused.
StatusOr<std::string> HostNames(const std::vector<std::string>& hosts) {
  std::string names;
  for (const std::string& host : hosts) {
    const bool ip = IsIpAddress(host);
    const bool dns = !host.empty() && host.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyz"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == std::string::npos;
    if (!ip && !dns) return InvalidArgument("host '" + host + "': expected a host name or an IP address");
    names += (ip ? ",IP:" : ",DNS:") + host;
  }
  return names;
}

}  // namespace

std::string Identity::ToUri() const {
  switch (role) {
    case Role::kUser:
      return std::string(kUriPrefix) + "user/" + name;
    case Role::kWorker:
      return std::string(kUriPrefix) + "worker/" + name;
    case Role::kController:
      break;
  }
  return std::string(kUriPrefix) + "controller";
}

StatusOr<Identity> Identity::FromUri(std::string_view uri) {
  const Status error =
      Unauthenticated("certificate names '" + std::string(uri) +
                      "', expected canopy://role/user/<name> or canopy://role/worker/<uuid>");
  if (uri.substr(0, kUriPrefix.size()) != kUriPrefix) return error;
  const std::string_view rest = uri.substr(kUriPrefix.size());
  if (rest == "controller") return Identity{Role::kController, ""};
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return error;
  const std::string_view role = rest.substr(0, slash);
  Identity identity{Role::kUser, std::string(rest.substr(slash + 1))};
  if (role == "user" && IsResourceName(identity.name)) return identity;
  identity.role = Role::kWorker;
  if (role == "worker" && IsUuid(identity.name)) return identity;
  return error;
}

StatusOr<Credential> LoadCredential(const std::string& folder, std::string_view name) {
  const std::string stem = folder + "/" + std::string(name);
  Credential credential;
  CANOPY_ASSIGN_OR_RETURN(credential.ca_certificate, ReadPem(folder + "/ca.crt", false));
  CANOPY_ASSIGN_OR_RETURN(credential.certificate, ReadPem(stem + ".crt", false));
  CANOPY_ASSIGN_OR_RETURN(credential.private_key, ReadPem(stem + ".key", true));
  const Certificate authority = ParseCertificate(credential.ca_certificate);
  if (!authority) return DataLoss(folder + "/ca.crt: not a PEM certificate; copy it again");
  const Certificate certificate = ParseCertificate(credential.certificate);
  if (!certificate) return DataLoss(stem + ".crt: not a PEM certificate; copy it again");
  const Key key = ParseKey(credential.private_key);
  if (!key) return DataLoss(stem + ".key: not a PEM private key; copy it again");
  if (X509_check_private_key(certificate.get(), key.get()) != 1)
    return FailedPrecondition(stem + ".crt and " + stem + ".key don't belong together; copy both again");
  CANOPY_RETURN_IF_ERROR(CheckSigned(certificate.get(), authority.get(), stem + ".crt"));
  CANOPY_RETURN_IF_ERROR(WithContext(IdentityOf(credential).status(), stem + ".crt"));
  return credential;
}

StatusOr<Identity> IdentityOf(const Credential& credential) {
  const Certificate certificate = ParseCertificate(credential.certificate);
  if (!certificate) return DataLoss("not a PEM certificate");
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  std::vector<std::string> uris;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
  }
  GENERAL_NAMES_free(names);
  if (uris.size() != 1)
    return Unauthenticated("the certificate has " + std::to_string(uris.size()) +
                           " URIs among its names, expected one with the role");
  return Identity::FromUri(uris[0]);
}

Status InitCluster(const std::string& folder, const std::vector<std::string>& hosts, std::string_view user) {
  if (!IsResourceName(user))
    return InvalidArgument("user '" + std::string(user) +
                           "': expected lower-case letters, digits and dashes");
  if (hosts.empty()) return InvalidArgument("expected at least one name or address of the controller's host");
  CANOPY_ASSIGN_OR_RETURN(const std::string host_names, HostNames(hosts));
  if (FileExists(folder + "/ca.crt") || FileExists(folder + "/ca.key"))
    return AlreadyExists(folder +
                         " has a certificate authority; use it, or choose another folder for a new cluster");
  CANOPY_RETURN_IF_ERROR(MakeDirectories(folder, 0700));

  Authority authority;
  CANOPY_ASSIGN_OR_RETURN(authority.key, NewKey());
  CANOPY_ASSIGN_OR_RETURN(authority.certificate, Sign({.common_name = "Canopy cluster", .authority = true},
                                                      authority.key.get(), nullptr, authority.key.get()));
  CANOPY_RETURN_IF_ERROR(
      Issue(authority,
            {.common_name = "Canopy controller",
             .alternative_names = "URI:" + Identity{Identity::Role::kController, ""}.ToUri() + host_names,
             .server = true},
            folder + "/controller"));
  const Identity user_identity{Identity::Role::kUser, std::string(user)};
  CANOPY_RETURN_IF_ERROR(Issue(
      authority, {.common_name = user_identity.name, .alternative_names = "URI:" + user_identity.ToUri()},
      folder + "/user"));
  // Last: a folder with an authority is complete.
  return WriteKeyAndCertificate(folder + "/ca", authority.key.get(), authority.certificate.get());
}

StatusOr<WorkerBundle> AddWorker(const std::string& folder, std::string_view name) {
  if (!IsResourceName(name))
    return InvalidArgument("worker '" + std::string(name) +
                           "': expected lower-case letters, digits and dashes");
  CANOPY_ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(folder));
  WorkerBundle bundle{NewUuid(), folder + "/workers/" + std::string(name)};
  if (FileExists(bundle.folder + "/worker.crt"))
    return AlreadyExists(bundle.folder + " has a credential; copy it to the worker, or choose another name");
  CANOPY_RETURN_IF_ERROR(MakeDirectories(bundle.folder, 0700));
  CANOPY_RETURN_IF_ERROR(WriteFileDurably(bundle.folder + "/ca.crt", authority.pem, 0600));
  const Identity identity{Identity::Role::kWorker, bundle.worker_id};
  CANOPY_RETURN_IF_ERROR(
      Issue(authority, {.common_name = std::string(name), .alternative_names = "URI:" + identity.ToUri()},
            bundle.folder + "/worker"));
  return bundle;
}

}  // namespace canopy::config
