"""curl against `leat serve`, `leat fetch` against nginx: 256 MiB each way. Over bad links: test_lossy.py."""

TIMEOUT = 240
RELEASE = True

BIG = 256 << 20


def _get(t, size, **options):
    wanted = t.make_file("www/file", size)
    server = t.leat_serve(t.dir / "www", control="control", **options)
    for host in (t.leat4, t.leat6):
        t.equal(t.download(t.url(host, "file"), timeout=200), wanted, f"sha256 from {host}")
    server.stop()


def _put(t, size, **options):
    (t.dir / "www").mkdir()
    wanted = t.make_file("file", size)
    server = t.leat("serve", t.dir / "www", "--writable", ready=lambda: t.accepts(t.leat4, 80), **options)
    for name, host in (("v4", t.leat4), ("v6", t.leat6)):
        t.curl(t.url(host, name), "--upload-file", t.dir / "file", timeout=200)
        t.equal(t.sha256(f"www/{name}"), wanted, f"sha256 at {host}")
    server.stop()


def _fetch(t, size, **options):
    wanted = t.make_file("www/file", size)
    t.nginx(t.dir / "www")
    for host in (t.kernel4, t.kernel6):
        t.leat_run("fetch", t.url(host, "file"), "-o", t.dir / "fetched", timeout=200, **options)
        t.equal(t.sha256("fetched"), wanted, f"sha256 from {host}")


def test_curl_gets_256_mib(t):
    _get(t, BIG)


def test_curl_puts_256_mib(t):
    _put(t, BIG)


def test_leat_fetches_256_mib_from_nginx(t):
    _fetch(t, BIG)
