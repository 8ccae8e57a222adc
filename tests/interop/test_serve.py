"""HTTP as leat serve speaks it: curl for what curl does, a bare socket for what it does not."""
import os
import re
import socket

TIMEOUT = 90


def _say(t, text, host=None):
    """Sends bytes, says no more, and returns all that comes."""
    with socket.create_connection((host or t.leat4, 80), timeout=10) as s:
        s.sendall(text.encode() if isinstance(text, str) else text)
        s.shutdown(socket.SHUT_WR)
        said = []
        while piece := s.recv(65536):
            said.append(piece)
        return b"".join(said).decode(errors="replace")


def _get(t, path, *headers, method="GET"):
    """(status, headers in lower case, body)"""
    said = _say(t, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
                "".join(f"{h}\r\n" for h in headers) + "\r\n")
    head, _, body = said.partition("\r\n\r\n")
    lines = head.split("\r\n")
    t.check(re.fullmatch(r"HTTP/1\.1 \d\d\d [A-Za-z -]+", lines[0]), f"status line {lines[0]!r}")
    return int(lines[0].split()[1]), dict(re.split(r": ", line.lower(), maxsplit=1) for line in lines[1:]), body


def _site(t):
    www = t.dir / "www"
    (www / "folder").mkdir(parents=True)
    (www / "empty").mkdir()
    (www / "digits").write_text("0123456789")
    (www / "folder/a b<&>.txt").write_text("odd name")
    (www / "none").write_text("")
    (t.dir / "secret").write_text("secret")
    os.symlink("../secret", www / "link-out")
    os.symlink("digits", www / "link-in")
    os.mkfifo(www / "fifo")
    return www


def test_ranges(t):
    server = t.leat_serve(_site(t))
    for asked, status, content, body in (
            ("bytes=2-4", 206, "bytes 2-4/10", "234"), ("bytes=8-", 206, "bytes 8-9/10", "89"),
            ("bytes=-3", 206, "bytes 7-9/10", "789"), ("bytes=-30", 206, "bytes 0-9/10", "0123456789"),
            ("bytes=5-99", 206, "bytes 5-9/10", "56789"), ("bytes=10-", 416, "bytes */10", "416 Range Not Satisfiable\n"),
            ("bytes=-0", 416, "bytes */10", "416 Range Not Satisfiable\n"), ("bytes=4-2", 200, None, "0123456789"),
            ("bytes=0-1,4-5", 200, None, "0123456789"), ("lines=1-2", 200, None, "0123456789"),
            ("bytes=99999999999999999999-", 200, None, "0123456789")):
        got_status, headers, got_body = _get(t, "/digits", f"Range: {asked}")
        t.equal((got_status, headers.get("content-range"), got_body), (status, content, body), asked)
        t.equal(headers["content-length"], str(len(body)), f"Content-Length of {asked}")
    etag = _get(t, "/digits")[1]["etag"]
    t.equal(_get(t, "/digits", "Range: bytes=0-0", f"If-Range: {etag}")[0], 206, "If-Range")
    t.equal(_get(t, "/digits", "Range: bytes=0-0", 'If-Range: "other"')[0], 200, "If-Range of another")
    for asked, status in ((etag, 304), ("*", 304), (f'"a", W/"b" , W/{etag}', 304), (f'"a,{etag[1:]}', 200),
                          ('"other", W/"x"', 200), (etag.strip('"'), 200), (f'junk {etag}', 200)):
        t.equal(_get(t, "/digits", f"If-None-Match: {asked}")[0], status, f"If-None-Match: {asked}")
    server.stop()


def test_the_host_is_named_once(t):
    server = t.leat_serve(_site(t))
    for head, status in (("GET /digits HTTP/1.1\r\n", 400), ("GET /digits HTTP/1.1\r\nHost: x\r\nHost: x\r\n", 400),
                         ("GET /digits HTTP/1.1\r\nHost:\r\n", 200), ("GET http://x/digits HTTP/1.1\r\n", 400),
                         ("GET /digits HTTP/1.0\r\n", 200)):
        t.equal(_say(t, head + "Connection: close\r\n\r\n").split()[1], str(status), head)
    server.stop()


def test_methods_folders_and_things_that_are_not_there(t):
    server = t.leat_serve(_site(t))
    status, headers, body = _get(t, "/digits", method="HEAD")
    t.equal((status, headers["content-length"], body), (200, "10", ""), "HEAD")
    t.equal(_get(t, "/none")[2], "", "an empty file")
    t.equal(_get(t, "/folder")[0:2][1].get("location"), "/folder/", "a folder without its slash")
    for path in ("//folder", "///folder"):  # "//folder/" would be a host
        t.equal(_get(t, path)[1].get("location"), "/folder/", f"where {path} is")
    page = _get(t, "/folder/")[2]
    t.check('href="./a%20b%3C%26%3E.txt"' in page and "a b&lt;&amp;&gt;.txt" in page, page)
    t.equal(_get(t, "/folder/a%20b%3c%26%3e.txt")[2], "odd name", "a name with odd characters")
    t.equal(_get(t, "/link-in")[2], "0123456789", "a link that stays inside")
    t.equal(_get(t, "/empty/")[0], 200, "an empty folder")
    for path, status in (("/nothing", 404), ("/digits/", 404), ("/fifo", 403), ("/link-out", 403), ("/../secret", 403),
                         ("/folder/../../secret", 403), ("/%2e%2e/secret", 403), ("/folder/..%2f..%2fsecret", 403),
                         ("/%00", 400), ("/%zz", 400), ("/" + "a" * 9000, 414), ("//digits", 200), ("/./digits", 200)):
        got, _, body = _get(t, path)
        t.equal(got, status, f"status of {path[:40]}")
        t.check("secret" not in body, f"{path} leaked")
    for method in ("POST", "DELETE", "OPTIONS", "PATCH"):
        t.equal(_get(t, "/digits", method=method)[0], 405, method)
    t.equal(_say(t, "nonsense\r\n\r\n").split("\r\n")[0], "HTTP/1.1 400 Bad Request", "nonsense")
    t.equal(_say(t, b"\x16\x03\x01\x02\x00\x01\x00").split("\r\n")[0], "HTTP/1.1 400 Bad Request", "TLS")
    t.equal(_say(t, "GET / HTTP/1.1\r\n" + "a: b\r\n" * 50000 + "\r\n").split("\r\n")[0], "HTTP/1.1 400 Bad Request",
            "endless headers")
    t.equal(_get(t, "/digits")[2], "0123456789", "it still serves")
    server.stop()


def test_pipelined_requests_are_answered_in_order(t):
    www = _site(t)
    for i in range(50):
        (www / f"n{i}").write_text(f"<{i}>" * (i * 400))  # from nothing to 78 KB
    server = t.leat_serve(www, control="control")
    requests = "".join(f"GET /n{i} HTTP/1.1\r\nHost: x\r\n\r\n" for i in range(50)) * 8
    for host in (t.leat4, t.leat6):
        said = _say(t, requests, host)
        bodies = re.split(r"HTTP/1\.1 200 OK\r\n(?:[^\r]+\r\n)+\r\n", said)[1:]
        t.equal(len(bodies), 400, "answers")
        for i, body in enumerate(bodies):
            t.check(body == f"<{i % 50}>" * (i % 50 * 400), f"answer {i} is not that of its request")
    # Thousands of small ones in one go.
    said = _say(t, "HEAD /digits HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
    t.equal(said.count("HTTP/1.1 200 OK"), 5000, "answers")
    t.check_nothing_left()
    server.stop()


def test_requests_in_single_bytes_and_old_versions(t):
    server = t.leat_serve(_site(t))
    with socket.create_connection((t.leat4, 80), timeout=10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /digits HTTP/1.1\r\nHost: x\r\n\r\n":
            s.sendall(bytes([byte]))
        t.wait_until(lambda: s.recv(65536, socket.MSG_PEEK).endswith(b"0123456789"), what="the answer")
    said = _say(t, "GET /digits HTTP/1.0\r\n\r\n")
    t.check("Connection: close" in said and said.endswith("0123456789"), said)
    server.stop()


def test_uploads(t):
    server = t.leat_serve(_site(t), "--writable")
    digest = t.make_file("big", 3_000_000)
    for path in ("new", "folder/new", "digits"):
        t.curl(t.url(t.leat4, path), "--upload-file", t.dir / "big")
        t.equal(t.sha256(f"www/{path}"), digest, path)
    t.curl(t.url(t.leat6, "chunked"), "--upload-file", t.dir / "big", "--header", "Transfer-Encoding: chunked")
    t.equal(t.sha256("www/chunked"), digest, "a chunked upload")
    for path, status in (("folder", 409), ("no/such/folder/x", 404), ("../x", 403), ("folder/", 403), ("link-in", 409)):
        said = _say(t, f"PUT /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
        t.check(said.startswith(f"HTTP/1.1 {status} "), f"{path}: {said[:60]}")
    # One that breaks off leaves nothing, and the old file as it was.
    before = sorted(os.listdir(t.dir / "www"))
    _say(t, "PUT /new HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this")
    _say(t, "PUT /broken HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this")
    t.wait_until(lambda: sorted(os.listdir(t.dir / "www")) == before, what="the end of what broke off")
    t.equal(t.sha256("www/new"), digest, "the file that was there")
    server.stop()


def test_without_writable_nothing_is_written(t):
    server = t.leat_serve(_site(t))
    t.make_file("big", 3_000_000)
    run = t.run_checked("curl", "-sS", "--upload-file", t.dir / "big", "-o", t.dir / "said", "-w", "%{http_code}",
                        t.url(t.leat4, "new"), expect=None)
    t.equal(run, "405", "status")
    t.check(not (t.dir / "www/new").exists(), "it was written")
    server.stop()
