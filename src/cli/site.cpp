// Files, listings and uploads beneath one descriptor (openat2). An upload is a temporary file beside its place until it
// is whole.
#include "cli/site.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "cli/failure.h"
#include "cli/http_text.h"

namespace leat::cli {
namespace {

constexpr size_t kMaxListed = 10000;

int open_beneath(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const std::string relative = path.empty() ? "." : path;
  return static_cast<int>(syscall(SYS_openat2, root, relative.c_str(), &how, sizeof how));
}

std::string_view without_slashes(std::string_view path) {
  while (path.starts_with('/'))
    path.remove_prefix(1);
  return path;
}

int status_of(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
    case EXDEV:  // it would have left the folder
    case ELOOP:
      return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return 503;
    default:
      return 404;
  }
}

struct Entry {
  std::string name;
  bool is_directory;
  int64_t size;
  time_t modified;
};

std::vector<Entry> read_entries(int directory, bool& is_cut) {
  std::vector<Entry> entries;
  const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* d = copy < 0 ? nullptr : fdopendir(copy);
  if (d == nullptr) {
    if (copy >= 0) close(copy);
    return entries;
  }
  while (const dirent* e = readdir(d)) {
    struct stat s{};
    if (e->d_name[0] == '.' || fstatat(copy, e->d_name, &s, 0) != 0) continue;
    if (entries.size() == kMaxListed) {
      is_cut = true;
      break;
    }
    entries.push_back({e->d_name, S_ISDIR(s.st_mode), s.st_size, s.st_mtime});
  }
  closedir(d);
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    return a.is_directory != b.is_directory ? a.is_directory : a.name < b.name;
  });
  return entries;
}

std::string size_text(int64_t n) {
  if (n < 10240) return fmt::format("{}", n);
  static constexpr const char* kUnits[] = {"K", "M", "G", "T"};
  double size = static_cast<double>(n) / 1024;
  size_t unit = 0;
  for (; size >= 1000 && unit < 3; ++unit)
    size /= 1024;
  return fmt::format("{:.1f}{}", size, kUnits[unit]);
}

}  // namespace

void HostFd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Site::Site(const std::string& directory) : root_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (!root_) throw usage("cannot serve '" + directory + "': " + std::string(strerror(errno)));
}

SiteFile Site::open(std::string_view path) const {
  SiteFile f;
  const std::string relative(without_slashes(path));
  // Not blocking: a FIFO would wait for its writer.
  f.fd = HostFd(open_beneath(root_.get(), relative, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat s{};
  if (!f.fd || fstat(f.fd.get(), &s) != 0) {
    f.status = status_of(errno);
    return f;
  }
  f.is_directory = S_ISDIR(s.st_mode);
  if (!f.is_directory && !S_ISREG(s.st_mode)) {
    f.status = 403;
    return f;
  }
  f.status = 200;
  if (f.is_directory && !path.ends_with('/')) f.status = 301;
  if (!f.is_directory && path.ends_with('/')) f.status = 404;
  f.size = static_cast<uint64_t>(s.st_size);
  f.modified = s.st_mtime;
  f.etag = fmt::format("\"{:x}-{:x}-{:x}\"", s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_size);
  return f;
}

int Site::open_upload(std::string_view path, SiteUpload& out) const {
  const std::string relative(without_slashes(path));
  const size_t slash = relative.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : relative.substr(0, slash);
  out.name_ = slash == std::string::npos ? relative : relative.substr(slash + 1);
  if (out.name_.empty() || out.name_ == "." || out.name_ == ".." || out.name_.size() > 200) return 403;
  out.directory_ = HostFd(open_beneath(root_.get(), folder, O_RDONLY | O_DIRECTORY));
  if (!out.directory_) return status_of(errno);
  struct stat s{};
  if (fstatat(out.directory_.get(), out.name_.c_str(), &s, AT_SYMLINK_NOFOLLOW) == 0) {
    if (!S_ISREG(s.st_mode)) return 409;
    out.is_replacing_ = true;
  }
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return 500;
  out.temporary_ = fmt::format(".{}.leat-{:016x}", out.name_, random);
  out.file_ = HostFd(
      openat(out.directory_.get(), out.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (out.file_) return 0;
  return errno == EACCES || errno == EROFS ? 403 : 500;
}

bool SiteUpload::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool SiteUpload::finish() {
  file_.reset();
  if (renameat(directory_.get(), temporary_.c_str(), directory_.get(), name_.c_str()) == 0) return true;
  unlinkat(directory_.get(), temporary_.c_str(), 0);
  return false;
}

void SiteUpload::abandon() {
  if (!file_) return;
  file_.reset();
  unlinkat(directory_.get(), temporary_.c_str(), 0);
}

std::string Site::listing(int directory, std::string_view path) const {
  bool is_cut = false;
  const std::vector<Entry> entries = read_entries(directory, is_cut);
  const std::string title = html_escape(path);
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{0}</title>\n"
      "<style>body{{font-family:sans-serif;margin:2em}}td{{padding:.15em 1.5em .15em 0}}"
      "td.n{{text-align:right;font-variant-numeric:tabular-nums}}</style></head>\n"
      "<body><h1>{0}</h1>\n<table>\n",
      title);
  if (path != "/") page += "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n";
  for (const Entry& e : entries) {
    const std::string slash = e.is_directory ? "/" : "";
    page += fmt::format("<tr><td><a href=\"{}{}\">{}{}</a></td><td class=\"n\">{}</td><td>{}</td></tr>\n",
                        "./" + percent_encode_path(e.name), slash, html_escape(e.name), slash,
                        e.is_directory ? "" : size_text(e.size), http_date(e.modified));
  }
  if (is_cut) page += fmt::format("<tr><td>the first {} entries</td></tr>\n", kMaxListed);
  return page + "</table></body></html>\n";
}

}  // namespace leat::cli
