"""256 MiB over bad links, each way, IPv4 and IPv6: what arrives is what was sent. They wait more than they compute, so
all run at once, each in namespaces of its own."""
TIMEOUT = 420
RELEASE = True
PARALLEL = True

BIG = 256 << 20
LINKS = {"lossy": "loss=1%,reorder=1%,duplicate=0.5%,delay=5ms", "corrupting": "corrupt=0.5%"}


def _curl_gets(t, family, link):
    wanted = t.shared_file(BIG, "www/file")
    server = t.leat_serve(t.dir / "www", control="control", impair=link)
    pipe = f"curl -sSf --globoff --noproxy '*' '{t.url(_leat(t, family), 'file')}' | sha256sum"
    got = t.run_checked("bash", "-o", "pipefail", "-c", pipe, timeout=TIMEOUT - 20)
    t.equal(got.split()[0], wanted, "sha256")
    server.stop()


def _curl_puts(t, family, link):
    wanted = t.shared_file(BIG, "file")
    (t.dir / "www").mkdir()
    server = t.leat_serve(t.dir / "www", "--writable", impair=link + ",direction=both")
    t.curl(t.url(_leat(t, family), "put"), "--upload-file", t.dir / "file", timeout=TIMEOUT - 20)
    t.equal(t.sha256("www/put"), wanted, "sha256")
    (t.dir / "www/put").unlink()
    server.stop()


def _leat_fetches(t, family, link):
    wanted = t.shared_file(BIG, "www/file")
    t.nginx(t.dir / "www")
    kernel = t.kernel6 if family == "v6" else t.kernel4
    t.leat_run("fetch", "-q", t.url(kernel, "file"), "-o", "/dev/null", "--sha256", wanted, timeout=TIMEOUT - 20,
               impair=link + ",direction=both")


def _leat(t, family):
    return t.leat6 if family == "v6" else t.leat4


def _test(transfer, link, family):
    def test(t):
        transfer(t, family, LINKS[link])
    return test


for _transfer in (_curl_gets, _curl_puts, _leat_fetches):
    for _link in LINKS:
        for _family in ("v4", "v6"):
            globals()[f"test{_transfer.__name__}_over_a_{_link}_link_{_family}"] = _test(_transfer, _link, _family)
