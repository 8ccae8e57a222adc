"""tshark reads the captures: nothing malformed, no bad checksum, nothing outside the window, no retransmission."""

RELEASE = True
TIMEOUT = 120


def test_captures_of_a_clean_link_are_clean(t):
    wanted = t.make_file("www/file", 4 << 20)
    server = t.leat_serve(t.dir / "www", pcap="serve.pcap")
    for host in (t.leat4, t.leat6):
        t.equal(t.download(t.url(host, "file")), wanted, f"sha256 from {host}")
    server.stop()
    t.check_capture("serve.pcap")


def test_captures_of_a_lossy_link_are_well_formed(t):
    wanted = t.make_file("www/file", 2 << 20)
    server = t.leat_serve(t.dir / "www", pcap="serve.pcap", impair="loss=1%,delay=5ms")
    t.equal(t.download(t.url(t.leat4, "file")), wanted, "sha256")
    server.stop()
    t.check_capture("serve.pcap", allow_retransmissions=True)
