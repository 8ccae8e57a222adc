// One connection of the HTTP server.
//
//   kReading: a request's head arrives → kUploading: its body goes to a file → kResponding → kReading …
//   kDraining: the answer was the last one; what still arrives is thrown away, so that closing does not reset it
#pragma once

#include <http_parser.h>

#include "cli/http_server.h"
#include "cli/http_text.h"

namespace leat::cli {

class HttpConnection final : public Watcher {
 public:
  HttpConnection(HttpServer& server, Socket socket, const Endpoint& peer);
  ~HttpConnection() override;
  void on_ready(uint32_t events) override;
  Time last_progress() const { return progress_; }
  void close();  // retires itself

 private:
  enum class Phase : uint8_t { kReading, kUploading, kResponding, kDraining };
  struct Request {
    std::string url, host, range, if_range, if_none_match, if_modified_since, expect;
    uint32_t hosts = 0;            // how often it was named
    std::string field;             // name of the header that is arriving
    std::string* value = nullptr;  // where its value goes; nullptr: nowhere
    bool is_in_value = false;
  };

  static HttpConnection& of(http_parser* p) { return *static_cast<HttpConnection*>(p->data); }
  static int on_url(http_parser* p, const char* at, size_t n);
  static int on_field(http_parser* p, const char* at, size_t n);
  static int on_value(http_parser* p, const char* at, size_t n);
  static int on_headers(http_parser* p);
  static int on_body(http_parser* p, const char* at, size_t n);
  static int on_complete(http_parser* p);
  static const http_parser_settings kSettings;

  void read_some();
  bool advance();                      // as far as it goes without reading or waiting; false: closed
  void parse(std::string_view bytes);  // up to the end of one request; the rest becomes pending_
  void start_value();
  bool start_upload();
  void respond();
  void respond_file(const std::string& path);
  void respond_listing(const SiteFile& f, const std::string& path);
  void respond_upload();
  void respond_status(int status, const std::string& headers = "");
  void respond_text(int status, std::string_view type, std::string body, const std::string& headers = "");
  void put_head(int status, uint64_t length, const std::string& headers);
  bool is_not_modified(const SiteFile& f) const;
  bool pump();  // false: the connection is of no use any more
  bool pump_file();
  bool send(std::string_view bytes, int flags, size_t& sent);  // false: it failed
  void end_response();
  void watch();
  void log(int status) const;

  HttpServer& server_;
  Socket socket_;
  HttpServer::Connections::iterator place_;
  Time progress_;
  Phase phase_ = Phase::kReading;
  bool keeps_alive_ = true;
  bool is_complete_ = false;  // the parser has a whole request
  bool is_head_ = false;
  uint32_t watched_ = 0;
  int early_status_ = 0;  // decided before the body came
  http_parser parser_{};
  Request request_;
  std::string pending_;  // of the requests behind the one that is being answered; read up to pending_at_
  size_t pending_at_ = 0;
  std::string out_;  // head and small bodies
  size_t out_sent_ = 0;
  HostFd file_;
  uint64_t file_at_ = 0, file_left_ = 0;
  uint64_t drained_ = 0;
  SiteUpload upload_;
  std::string peer_;
};

}  // namespace leat::cli
