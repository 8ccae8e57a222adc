"""256 MiB over bad links, each way, IPv4 and IPv6: what arrives is what was sent. They wait more than they compute, so
all run at once, each in namespaces of its own."""
TIMEOUT = 420
RELEASE = True
PARALLEL = True

BIG = 256 << 20
LOSSY = "loss=1%,reorder=1%,duplicate=0.5%,delay=5ms"
CORRUPT = "corrupt=0.5%"


def _get(t, host, impair):
    wanted = t.shared_file(BIG, "www/file")
    server = t.leat_serve(t.dir / "www", control="control", impair=impair)
    pipe = f"curl -sSf --globoff --noproxy '*' '{t.url(host, 'file')}' | sha256sum"
    got = t.run_checked("bash", "-o", "pipefail", "-c", pipe, timeout=TIMEOUT - 20)
    t.equal(got.split()[0], wanted, "sha256")
    server.stop()


def _put(t, host, impair):
    wanted = t.shared_file(BIG, "file")
    (t.dir / "www").mkdir()
    server = t.leat_serve(t.dir / "www", "--writable", impair=impair)
    t.curl(t.url(host, "put"), "--upload-file", t.dir / "file", timeout=TIMEOUT - 20)
    t.equal(t.sha256("www/put"), wanted, "sha256")
    (t.dir / "www/put").unlink()
    server.stop()


def _fetch(t, host, impair):
    wanted = t.shared_file(BIG, "www/file")
    t.nginx(t.dir / "www")
    t.leat_run("fetch", "-q", t.url(host, "file"), "-o", "/dev/null", "--sha256", wanted, timeout=TIMEOUT - 20,
               impair=impair)


def test_curl_gets_over_a_lossy_link_v4(t):
    _get(t, t.leat4, LOSSY)


def test_curl_gets_over_a_lossy_link_v6(t):
    _get(t, t.leat6, LOSSY)


def test_curl_puts_over_a_lossy_link_v4(t):
    _put(t, t.leat4, LOSSY + ",direction=both")


def test_curl_puts_over_a_lossy_link_v6(t):
    _put(t, t.leat6, LOSSY + ",direction=both")


def test_leat_fetches_over_a_lossy_link_v4(t):
    _fetch(t, t.kernel4, LOSSY + ",direction=both")


def test_leat_fetches_over_a_lossy_link_v6(t):
    _fetch(t, t.kernel6, LOSSY + ",direction=both")


def test_curl_gets_over_a_corrupting_link_v4(t):
    _get(t, t.leat4, CORRUPT)


def test_curl_gets_over_a_corrupting_link_v6(t):
    _get(t, t.leat6, CORRUPT)


def test_curl_puts_over_a_corrupting_link_v4(t):
    _put(t, t.leat4, CORRUPT + ",direction=both")


def test_curl_puts_over_a_corrupting_link_v6(t):
    _put(t, t.leat6, CORRUPT + ",direction=both")


def test_leat_fetches_over_a_corrupting_link_v4(t):
    _fetch(t, t.kernel4, CORRUPT + ",direction=both")


def test_leat_fetches_over_a_corrupting_link_v6(t):
    _fetch(t, t.kernel6, CORRUPT + ",direction=both")
