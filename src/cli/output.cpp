// A file is written under another name and renamed when it is whole; a pipe that is full is waited for by the loop.
#include "cli/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/failure.h"

namespace leat::cli {

HostOutput::HostOutput(int fd) : fd_(fd) {
  struct stat s{};
  if (fstat(fd, &s) != 0 || !(S_ISFIFO(s.st_mode) || S_ISCHR(s.st_mode))) return;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int own = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (own < 0) return;
  fd_ = own;
  is_own_ = true;
}

HostOutput::~HostOutput() {
  if (is_own_) close(fd_);
}

bool HostOutput::flush() {
  while (at_ < pending_.size()) {
    const ssize_t n = write(fd_, pending_.data() + at_, pending_.size() - at_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    at_ += static_cast<size_t>(n);
  }
  pending_.clear();
  at_ = 0;
  return true;
}

FileOutput::FileOutput(std::string path) : path_(std::move(path)) {
  struct stat s{};
  const bool is_there = stat(path_.c_str(), &s) == 0;
  if (is_there && S_ISDIR(s.st_mode)) throw usage("'" + path_ + "' is a folder");
  if (!is_there || S_ISREG(s.st_mode)) temporary_ = path_ + ".part-" + std::to_string(getpid());
  const std::string& name = temporary_.empty() ? path_ : temporary_;
  fd_ = HostFd(open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd_) throw failed("cannot write '" + path_ + "': " + strerror(errno));
}

FileOutput::~FileOutput() {
  if (fd_ && !temporary_.empty()) unlink(temporary_.c_str());
}

void FileOutput::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw failed("cannot write '" + path_ + "': " + strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void FileOutput::finish() {
  fd_.reset();
  if (!temporary_.empty() && rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int why = errno;
    unlink(temporary_.c_str());
    throw failed("cannot write '" + path_ + "': " + strerror(why));
  }
}

}  // namespace leat::cli
