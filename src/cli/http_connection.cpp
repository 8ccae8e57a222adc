// Requests are parsed as their bytes come (http_parser) and answered one by one: the parser is paused behind each, and
// what is behind it waits. Answers leave as the socket takes them; a file is read as it leaves. RFC 9110, RFC 9112.
#include "cli/http_connection.h"

#include <fmt/format.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace leat::cli {
namespace {

constexpr size_t kMaxUrl = 8192;
constexpr size_t kMaxName = 64;
constexpr size_t kMaxHeader = 1024;  // of a value that is looked at
constexpr size_t kRequestBytes = 16 * 1024;
constexpr uint64_t kTurnBytes = 1024 * 1024;  // of one connection, before the others have theirs
constexpr uint64_t kDrainBytes = 16 * 1024 * 1024;

const char* reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 507:
      return "Insufficient Storage";
    default:
      return "Internal Server Error";
  }
}

// "/a/b?c" and "http://host/a/b" come to "/a/b"; "" when there is no path that may be served.
std::string path_of(const std::string& url) {
  http_parser_url parts;
  http_parser_url_init(&parts);
  if (http_parser_parse_url(url.data(), url.size(), 0, &parts) != 0) return "";
  if ((parts.field_set & (1 << UF_PATH)) == 0) return "";
  const auto& p = parts.field_data[UF_PATH];
  return percent_decode(std::string_view(url).substr(p.off, p.len)).value_or("");
}

}  // namespace

const http_parser_settings HttpConnection::kSettings = [] {
  http_parser_settings s;
  http_parser_settings_init(&s);
  s.on_url = &HttpConnection::on_url;
  s.on_header_field = &HttpConnection::on_field;
  s.on_header_value = &HttpConnection::on_value;
  s.on_headers_complete = &HttpConnection::on_headers;
  s.on_body = &HttpConnection::on_body;
  s.on_message_complete = &HttpConnection::on_complete;
  return s;
}();

HttpConnection::HttpConnection(HttpServer& server, Socket socket, const Endpoint& peer)
    : server_(server), socket_(std::move(socket)), progress_(server.loop_.now()) {
  if (server.options_.logs) peer_ = peer.to_string();
  place_ = server_.add(*this);
  http_parser_init(&parser_, HTTP_REQUEST);
  parser_.data = this;
  watched_ = EPOLLIN;
  server_.loop_.watch(socket_.fd(), watched_, *this);
  read_some();  // the request often came with the connection
}

HttpConnection::~HttpConnection() = default;

void HttpConnection::close() {
  if (!socket_.is_open()) return;
  server_.loop_.unwatch(socket_.fd(), *this);
  (void)socket_.close();
  server_.connections_.erase(place_);
  server_.loop_.retire(std::unique_ptr<Watcher>(this));
}

void HttpConnection::on_ready(uint32_t events) {
  if ((events & EPOLLERR) != 0) return close();
  if (phase_ != Phase::kResponding) return read_some();
  advance();
}

void HttpConnection::watch() {
  const uint32_t wanted = phase_ == Phase::kResponding ? EPOLLOUT : EPOLLIN;
  if (wanted == watched_) return;
  watched_ = wanted;
  server_.loop_.change(socket_.fd(), wanted, *this);
}

// --- requests -------------------------------------------------------------------------------------------------------

// A little at a time while requests come: what is behind the first one has to wait here.
void HttpConnection::read_some() {
  auto& buffer = server_.buffer_;
  for (uint64_t taken = 0; taken < kTurnBytes;) {
    const size_t wanted = phase_ == Phase::kReading ? kRequestBytes : buffer.size();
    const auto n = socket_.read({reinterpret_cast<uint8_t*>(buffer.data()), wanted});
    if (!n && n.error() == Errno{EAGAIN}) return;
    if (!n || *n == 0) return close();
    taken += *n;
    progress_ = server_.loop_.now();
    server_.touch(place_);
    if (phase_ == Phase::kDraining) {
      drained_ += *n;
      if (drained_ > kDrainBytes) return close();
      continue;
    }
    parse({buffer.data(), *n});
    if (!advance() || phase_ == Phase::kResponding || *n < wanted) return;
  }
}

// Requests are answered one by one, in their order.
bool HttpConnection::advance() {
  for (;;) {
    if (phase_ == Phase::kResponding) {
      if (!pump()) {
        close();
        return false;
      }
      if (out_sent_ < out_.size() || file_left_ != 0) break;
      end_response();
    }
    if (phase_ == Phase::kDraining || pending_at_ == pending_.size()) break;
    const std::string bytes = std::exchange(pending_, {}).substr(std::exchange(pending_at_, 0));
    parse(bytes);
  }
  watch();
  return true;
}

void HttpConnection::parse(std::string_view bytes) {
  const size_t n = http_parser_execute(&parser_, &kSettings, bytes.data(), bytes.size());
  const auto error = HTTP_PARSER_ERRNO(&parser_);
  if (error == HPE_PAUSED && is_complete_) {
    http_parser_pause(&parser_, 0);
    pending_ = bytes.substr(n);
    respond();
  } else if (error != HPE_OK || parser_.upgrade != 0) {
    keeps_alive_ = false;
    upload_.abandon();
    respond_status(early_status_ != 0 ? early_status_ : request_.url.size() > kMaxUrl ? 414 : 400);
  }
}

int HttpConnection::on_url(http_parser* p, const char* at, size_t n) {
  Request& r = of(p).request_;
  r.url.append(at, std::min(n, kMaxUrl + 1 - std::min(kMaxUrl, r.url.size())));
  return r.url.size() > kMaxUrl ? 1 : 0;
}

int HttpConnection::on_field(http_parser* p, const char* at, size_t n) {
  Request& r = of(p).request_;
  if (r.is_in_value) {
    r.is_in_value = false;
    r.field.clear();
  }
  if (r.field.size() < kMaxName) r.field.append(at, std::min(n, kMaxName));
  return 0;
}

int HttpConnection::on_value(http_parser* p, const char* at, size_t n) {
  Request& r = of(p).request_;
  if (!r.is_in_value) of(p).start_value();
  if (r.value != nullptr && r.value->size() < kMaxHeader) r.value->append(at, std::min(n, kMaxHeader));
  return 0;
}

void HttpConnection::start_value() {
  struct Row {
    const char* name;
    std::string Request::* value;
  };
  static constexpr Row kRows[] = {
      {"host", &Request::host},
      {"range", &Request::range},
      {"if-range", &Request::if_range},
      {"if-none-match", &Request::if_none_match},
      {"if-modified-since", &Request::if_modified_since},
      {"expect", &Request::expect},
  };
  request_.is_in_value = true;
  request_.value = nullptr;
  for (const Row& row : kRows) {
    if (strcasecmp(request_.field.c_str(), row.name) != 0) continue;
    request_.value = &(request_.*row.value);
    request_.value->clear();
    if (row.value == &Request::host) ++request_.hosts;
  }
}

int HttpConnection::on_headers(http_parser* p) {
  HttpConnection& c = of(p);
  c.keeps_alive_ = http_should_keep_alive(p) != 0;
  c.is_head_ = p->method == HTTP_HEAD;
  const bool needs_host = p->http_major > 1 || p->http_minor > 0;
  if (c.request_.hosts > 1 || (needs_host && c.request_.hosts == 0)) {  // RFC 9112 §3.2
    c.early_status_ = 400;
    return -1;
  }
  if (p->method != HTTP_PUT) return 0;
  return c.start_upload() ? 0 : -1;
}

int HttpConnection::on_body(http_parser* p, const char* at, size_t n) {
  HttpConnection& c = of(p);
  if (!c.upload_.is_open()) return 0;  // a GET with a body: not for us
  if (c.upload_.write({at, n})) return 0;
  c.upload_.abandon();
  c.early_status_ = 507;
  return 1;
}

int HttpConnection::on_complete(http_parser* p) {
  of(p).is_complete_ = true;
  http_parser_pause(p, 1);
  return 0;
}

// --- uploads --------------------------------------------------------------------------------------------------------

bool HttpConnection::start_upload() {
  const std::string path = path_of(request_.url);
  early_status_ = path.empty() ? 400 : !server_.options_.is_writable ? 405 : 0;
  if (early_status_ == 0) early_status_ = server_.site_.open_upload(path, upload_);
  if (early_status_ != 0) return false;
  phase_ = Phase::kUploading;
  if (strcasecmp(request_.expect.c_str(), "100-continue") == 0) {
    size_t sent = 0;
    return send("HTTP/1.1 100 Continue\r\n\r\n", 0, sent);
  }
  return true;
}

void HttpConnection::respond_upload() {
  const bool is_replacing = upload_.is_replacing();
  if (!upload_.finish()) return respond_status(500);
  respond_status(is_replacing ? 204 : 201);
}

// --- answers --------------------------------------------------------------------------------------------------------

void HttpConnection::respond() {
  is_complete_ = false;
  if (upload_.is_open()) return respond_upload();
  if (parser_.method != HTTP_GET && parser_.method != HTTP_HEAD) {
    return respond_status(405, server_.options_.is_writable ? "Allow: GET, HEAD, PUT\r\n" : "Allow: GET, HEAD\r\n");
  }
  const std::string path = path_of(request_.url);
  if (path.empty()) return respond_status(400);
  respond_file(path);
}

bool HttpConnection::is_not_modified(const SiteFile& f) const {
  if (!request_.if_none_match.empty()) return names_etag(request_.if_none_match, f.etag);
  return !request_.if_modified_since.empty() && request_.if_modified_since == http_date(f.modified);
}

void HttpConnection::respond_file(const std::string& path) {
  SiteFile f = server_.site_.open(path);
  if (f.status == 301) {
    const size_t slashes = std::min(path.find_first_not_of('/'), path.size());  // "//x/" would be another host
    return respond_status(301, "Location: /" + percent_encode_path(path.substr(slashes)) + "/\r\n");
  }
  if (f.status != 200) return respond_status(f.status);
  if (f.is_directory) return respond_listing(f, path);
  const std::string validators =
      fmt::format("Last-Modified: {}\r\nETag: {}\r\nAccept-Ranges: bytes\r\n", http_date(f.modified), f.etag);
  if (is_not_modified(f)) return put_head(304, 0, validators);
  ByteRange range = parse_range(request_.range, f.size);
  const std::string& if_range = request_.if_range;
  if (!if_range.empty() && if_range != f.etag && if_range != http_date(f.modified)) range = {};
  if (range.kind == ByteRange::Kind::kUnsatisfiable) {
    return respond_status(416, fmt::format("Content-Range: bytes */{}\r\n", f.size));
  }
  std::string headers = fmt::format("Content-Type: {}\r\n{}", content_type(path), validators);
  file_at_ = 0;
  file_left_ = f.size;
  if (range.kind == ByteRange::Kind::kValid) {
    file_at_ = range.first;
    file_left_ = range.last - range.first + 1;
    headers += fmt::format("Content-Range: bytes {}-{}/{}\r\n", range.first, range.last, f.size);
  }
  put_head(range.kind == ByteRange::Kind::kValid ? 206 : 200, file_left_, headers);
  if (is_head_) file_left_ = 0;
  if (file_left_ != 0) file_ = std::move(f.fd);
}

void HttpConnection::respond_listing(const SiteFile& f, const std::string& path) {
  const SiteFile index = server_.site_.open(path + "index.html");
  if (index.status == 200 && !index.is_directory) return respond_file(path + "index.html");
  respond_text(200, "text/html; charset=utf-8", server_.site_.listing(f.fd.get(), path));
}

void HttpConnection::respond_status(int status, const std::string& headers) {
  if (status == 204) return put_head(status, 0, headers);
  respond_text(status, "text/plain; charset=utf-8", fmt::format("{} {}\n", status, reason_phrase(status)), headers);
}

void HttpConnection::respond_text(int status, std::string_view type, std::string body, const std::string& headers) {
  put_head(status, body.size(), fmt::format("Content-Type: {}\r\n{}", type, headers));
  if (!is_head_) out_ += body;
}

void HttpConnection::put_head(int status, uint64_t length, const std::string& headers) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  out_ = fmt::format("HTTP/1.1 {} {}\r\nServer: leat\r\nDate: {}\r\n{}", status, reason_phrase(status),
                     http_date(now.tv_sec), headers);
  if (status != 304 && status != 204) out_ += fmt::format("Content-Length: {}\r\n", length);
  out_ += keeps_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  out_sent_ = 0;
  phase_ = Phase::kResponding;
  if (server_.options_.logs) log(status);
}

// --- sending --------------------------------------------------------------------------------------------------------

bool HttpConnection::send(std::string_view bytes, int flags, size_t& sent) {
  sent = 0;
  const auto n = server_.loop_.stack().send(socket_.fd(), bytes.data(), bytes.size(), flags);
  if (!n && n.error() == Errno{EAGAIN}) return true;
  if (!n) return false;
  sent = *n;
  if (sent != 0) {
    progress_ = server_.loop_.now();
    server_.touch(place_);
  }
  return true;
}

bool HttpConnection::pump() {
  while (out_sent_ < out_.size()) {
    size_t sent = 0;
    if (!send(std::string_view(out_).substr(out_sent_), file_left_ != 0 ? MSG_MORE : 0, sent)) return false;
    if (sent == 0) return true;
    out_sent_ += sent;
  }
  return pump_file();
}

bool HttpConnection::pump_file() {
  auto& buffer = server_.buffer_;
  for (uint64_t turn = 0; file_left_ != 0 && turn < kTurnBytes;) {
    const size_t wanted = std::min<uint64_t>(buffer.size(), file_left_);
    const ssize_t n = pread(file_.get(), buffer.data(), wanted, static_cast<off_t>(file_at_));
    if (n <= 0) return false;  // it was cut meanwhile: only closing tells the client
    size_t sent = 0;
    const auto got = static_cast<size_t>(n);
    if (!send({buffer.data(), got}, got < file_left_ ? MSG_MORE : 0, sent)) return false;
    file_at_ += sent;
    file_left_ -= sent;
    turn += sent;
    if (sent < got) break;
  }
  return true;
}

void HttpConnection::end_response() {
  file_.reset();
  out_.clear();
  out_sent_ = 0;
  if (!keeps_alive_) {
    (void)socket_.shutdown(SHUT_WR);
    pending_.clear();
    pending_at_ = 0;
    phase_ = Phase::kDraining;
    return;
  }
  request_ = Request();
  early_status_ = 0;
  phase_ = Phase::kReading;
}

void HttpConnection::log(int status) const {
  std::printf("%s %s %s %d\n", peer_.c_str(), http_method_str(static_cast<http_method>(parser_.method)),
              request_.url.c_str(), status);
}

}  // namespace leat::cli
