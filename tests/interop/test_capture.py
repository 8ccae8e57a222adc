"""tshark reads the captures: nothing malformed, no bad checksum, nothing outside the window, no retransmission."""
from harness import Failure

RELEASE = True
TIMEOUT = 240
TRIES = 4


def _once_clean(t, attempt):
    """Where there is nothing to retransmit, a sender that is kept waiting still probes (RFC 8985's tail loss probe, after
    2 ms on such a link), and a busy machine keeps processes waiting that long. What is wrong in leat is wrong each time;
    one try without a retransmission is enough."""
    for i in range(TRIES):
        try:
            return attempt(i)
        except Failure as failure:
            if "retransmission" not in str(failure) and "out of order" not in str(failure) or i == TRIES - 1:
                raise
            print(f"try {i + 1}: {failure}")


def test_the_capture_of_downloads_is_clean(t):
    wanted = t.make_file("www/file", 4 << 20)

    def attempt(i):
        server = t.leat_serve(t.dir / "www", pcap=f"serve-{i}.pcap")
        for host in (t.leat4, t.leat6):
            t.equal(t.download(t.url(host, "file")), wanted, f"sha256 from {host}")
            t.run_checked("ping", "-c", 2, "-i", 0.05, "-s", 8000, host)
        server.stop()
        t.check_capture(f"serve-{i}.pcap")
    _once_clean(t, attempt)


def test_the_capture_of_uploads_is_clean(t):
    wanted = t.make_file("file", 4 << 20)
    (t.dir / "www").mkdir()

    def attempt(i):
        server = t.leat_serve(t.dir / "www", "--writable", pcap=f"serve-{i}.pcap")
        for host in (t.leat4, t.leat6):
            t.curl(t.url(host, "put"), "--upload-file", t.dir / "file")
            t.equal(t.sha256("www/put"), wanted, f"sha256 at {host}")
        server.stop()
        t.check_capture(f"serve-{i}.pcap")
    _once_clean(t, attempt)


def test_the_capture_of_a_fetch_is_clean(t):
    wanted = t.make_file("www/file", 4 << 20)
    t.nginx(t.dir / "www")
    for host in (t.kernel4, t.kernel6):
        def attempt(i, url=t.url(host, "file")):
            t.leat_run("fetch", url, "-o", t.dir / "got", "--sha256", wanted, pcap=f"fetch-{i}.pcap")
            t.check_capture(f"fetch-{i}.pcap")
        _once_clean(t, attempt)


def test_the_kernels_view_of_an_ethernet_link_is_clean(t):
    """On a TAP: what the kernel sees of leat, ARP and neighbour discovery included."""
    wanted = t.make_file("www/file", 4 << 20)

    def attempt(i):
        server = t.leat_serve(t.dir / "www", tun=None, tap="leat0")
        capture = t.capture("leat0", f"kernel-{i}.pcap")
        for host in (t.leat4, t.leat6):
            t.equal(t.download(t.url(host, "file")), wanted, f"sha256 from {host}")
        capture.stop(expect=None)
        server.stop()
        t.check_capture(f"kernel-{i}.pcap", sender=t.leat4)
    _once_clean(t, attempt)


def test_captures_of_a_bad_link_are_well_formed(t):
    wanted = t.make_file("www/file", 2 << 20)
    server = t.leat_serve(t.dir / "www", pcap="serve.pcap", impair="loss=1%,reorder=1%,duplicate=0.5%,delay=5ms")
    for host in (t.leat4, t.leat6):
        t.equal(t.download(t.url(host, "file")), wanted, f"sha256 from {host}")
    server.stop()
    t.check_capture("serve.pcap", allow_retransmissions=True)
