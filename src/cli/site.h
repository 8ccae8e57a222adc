// The folder that is served. Paths of requests never leave it: the kernel resolves them beneath its descriptor
// (openat2(2), RESOLVE_BENEATH), so neither ".." nor a symbolic link leads out.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <utility>

namespace leat::cli {

// A descriptor of the host that closes itself.
class HostFd {
 public:
  HostFd() = default;
  explicit HostFd(int fd) : fd_(fd) {}
  ~HostFd() { reset(); }
  HostFd(HostFd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  HostFd& operator=(HostFd&& o) noexcept {
    if (this != &o) {
      reset();
      fd_ = std::exchange(o.fd_, -1);
    }
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

struct SiteFile {
  int status = 0;  // 200, or 301, 403, 404 with nothing else
  HostFd fd;
  bool is_directory = false;
  uint64_t size = 0;
  time_t modified = 0;
  std::string etag;
};

// A file that a PUT writes: appears under its name when it is complete, and not at all otherwise.
class SiteUpload {
 public:
  SiteUpload() = default;
  SiteUpload(SiteUpload&&) noexcept = default;
  SiteUpload& operator=(SiteUpload&&) noexcept = default;
  ~SiteUpload() { abandon(); }
  bool write(std::string_view bytes);  // false: disk full, …
  bool finish();                       // false: it could not be put in place
  bool is_open() const { return static_cast<bool>(file_); }
  bool is_replacing() const { return is_replacing_; }
  void abandon();

 private:
  friend class Site;
  HostFd directory_;
  HostFd file_;
  std::string name_;
  std::string temporary_;
  bool is_replacing_ = false;
};

class Site {
 public:
  explicit Site(const std::string& directory);  // throws Failure
  // `path` is decoded and begins with '/'. A directory without '/' at its end: 301.
  SiteFile open(std::string_view path) const;
  // 0, or 403, 404 (no such folder), 409 (there is a folder of this name), 500.
  int open_upload(std::string_view path, SiteUpload& out) const;
  // An HTML page; "" when the folder cannot be read.
  std::string listing(int directory, std::string_view path) const;

 private:
  HostFd root_;
};

}  // namespace leat::cli
