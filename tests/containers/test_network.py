"""A client, a web server and its cache on a Docker network: the connections of one request join into one path."""

import pytest

from support.waiting import until

IMAGE = "interpose-test/bookworm"
SERVER = r"""
use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1) or die;
while (my $peer = $listener->accept) {
    my $asked = <$peer>;
    chomp $asked;
    print $peer answer($asked), "\n";
    close $peer;
}
"""
CACHE = (
    "sub answer { open my $file, '<', \"/data/$_[0]\" or return 'none'; return scalar <$file> =~ s/\\n//r }" + SERVER
)
WEB = r"sub answer { return ask('cache', 6379, $_[0]) }"
ASK = r"""
use IO::Socket::INET;
sub ask {
    my ($host, $port, $word) = @_;
    my $peer = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port) or die "$host: $!";
    print $peer "$word\n";
    return scalar(<$peer>) =~ s/\n//r;
}
"""


@pytest.fixture
def trio(site):
    site.engine.docker("network", "create", "trio")
    try:
        options = ("--network", "trio", "--detach")
        prepare = 'mkdir /data; echo 42 > /data/answer; exec perl -e "$1" 6379'
        site.run(*options, "--name", "cache", IMAGE, "sh", "-c", prepare, "sh", CACHE)
        site.run(*options, "--name", "web", IMAGE, "perl", "-e", ASK + WEB + SERVER, "8080")
        client = ("perl", "-e", f"{ASK} print ask('web', 8080, 'answer')")
        until(20, lambda: _answer(site, client) == b"42", "the web server answers")
        site.engine.docker("rm", "--force", "client", check=False)
        site.run("--name", "client", "--network", "trio", IMAGE, *client)
        addresses = {
            name: site.engine.inspect(name)["NetworkSettings"]["Networks"]["trio"]["IPAddress"]
            for name in ("cache", "web")
        }
        yield addresses
    finally:
        site.engine.docker("rm", "--force", "client", "web", "cache", check=False)
        site.engine.docker("network", "rm", "trio")
    site.service.settled()


def _answer(site, client):
    return site.run("--rm", "--network", "trio", IMAGE, *client, captured=False).stdout


def connections(site, container, effect):
    """(peer, local) of each TCP connection that a container made or took."""
    found = []
    for event in site.ask("events", "--container", container, "--effect", effect):
        fields = event["fields"]
        if fields["peer"]["family"] == 2 and fields["peer"]["port"] not in (0, 53):
            found.append(tuple((fields[end]["ip"], fields[end]["port"]) for end in ("peer", "local")))
    return found


def test_one_request_is_followed_from_the_client_to_the_file_in_the_cache(site, trio):
    until(20, lambda: connections(site, "client", "connect"), "the client is stored")
    (asked,) = connections(site, "client", "connect")
    web_peer, client_local = asked
    assert web_peer[1] == 8080

    # The web server's end of the same connection has the two addresses the other way round.
    until(20, lambda: (client_local, web_peer) in connections(site, "web", "accept"), "the web server is stored")
    forwarded = connections(site, "web", "connect")[-1]
    assert forwarded[0][1] == 6379
    until(20, lambda: (forwarded[1], forwarded[0]) in connections(site, "cache", "accept"), "the cache is stored")
    assert "/data/answer" in site.paths("cache", "--read")


def test_peers_are_known_by_the_addresses_that_the_network_gave_them(site, trio):
    until(20, lambda: connections(site, "client", "connect"), "the client is stored")
    peers = {
        name: connections(site, container, "connect")[-1][0][0]
        for container, name in (("client", "web"), ("web", "cache"))
    }

    assert trio == peers
