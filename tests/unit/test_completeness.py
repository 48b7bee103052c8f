"""The comparison of `make completeness` reports what one account lacks and what it makes up."""

from completeness import witness
from completeness.compare import Comparison, compare

LOG = """\
10 execve("/bin/sh", ["sh"], 0x7ffd /* 3 vars */) = 0
10 openat(AT_FDCWD</work>, "input", O_RDONLY) = 3</work/input>
10 read(3</work/input>, "text"..., 100) = 4
10 vfork( <unfinished ...>
11 openat(AT_FDCWD</work>, "made", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 4</work/made>
11 write(4</work/made>, "ab", 2) = 2
11 rename("made", "out") = 0
11 write(1<pipe:[7]>, "lost"..., 9) = 4
11 --- SIGPIPE {si_signo=SIGPIPE, si_code=SI_USER, si_pid=11, si_uid=0} ---
11 +++ killed by SIGPIPE +++
10 <... vfork resumed>) = 11
10 unlink("nowhere") = -1 ENOENT (No such file or directory)
10 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3</work/input>, 0) = 0x7f00
10 openat(AT_FDCWD</work>, "gone", O_RDWR|O_CREAT, 0600) = 6</work/gone>
10 write(6</work/gone>(deleted), "abc", 3) = 3
10 memfd_create("any", 0) = 7</memfd:any>(deleted)
10 ftruncate(7</memfd:any>(deleted), 10) = 0
10 openat(AT_FDCWD</work>, "/usr/lib/libany.so.1", O_RDONLY|O_CLOEXEC) = 8</usr/lib/libany.so.1>
10 read(8</usr/lib/libany.so.1>, "\\177ELF"..., 832) = 832
10 pread64(8</usr/lib/libany.so.1>, ""..., 784, 64) = 784
10 write(4<pipe:[8]>, "x", 1) = 1
10 write(5<pipe:[8]>, "yz", 2) = 2
10 sendmmsg(9<UDP:[3]>, [{msg_hdr={}, msg_len=3}, {msg_hdr={}, msg_len=4}], 2, 0) = 2
10 connect(5<TCP:[9]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
10 +++ exited with 0 +++
"""


def observation():
    return witness.observe(LOG, "/work", "", temporary="/work")


def facts(seen):
    return {str(fact) for fact in seen.facts if not fact.object.startswith("/usr")}


def test_a_log_is_read_into_facts():
    program = next(fact.program for fact in observation().facts if fact.what == "connect")
    assert {
        f"{program}: open /input",
        f"{program}: create /made",
        f"{program}: rename /made -> /out",
        f"{program}: fork ",
        f"{program}: connect 127.0.0.1:80",
        f"{program}: map writable /input",
        f"{program}: create /gone",
        f"{program}: create memory",
        f"{program}: truncate memory",
    } == {fact for fact in facts(observation()) if " exec " not in fact}


def test_bytes_are_those_of_calls_that_returned_to_the_program():
    moved = {(fact.what, fact.object): amount for fact, amount in observation().bytes.items()}
    assert {
        ("read", "/input"): 4,
        ("written", "/made"): 2,
        ("written", "/gone"): 3,
        ("written", "pipe 4"): 1,
        ("written", "pipe 5"): 2,
        ("written", "socket 9"): 7,
    } == moved


def test_equal_accounts_differ_in_nothing():
    seen = len(observation().facts) + len(observation().bytes)
    assert Comparison(seen, seen, [], []) == compare([observation(), observation()], observation())


def test_a_removed_event_is_missed_and_an_invented_one_is_reported():
    told = observation()
    (renamed,) = (fact for fact in told.facts if fact.what == "rename")
    del told.facts[renamed]
    told.add("sh", "unlink", "/etc/passwd")
    compared = compare([observation()], told)
    assert ([str(renamed)], ["sh: unlink /etc/passwd"]) == (compared.missed, compared.invented)


def test_how_often_something_happened_counts():
    told = observation()
    (renamed,) = (fact for fact in told.facts if fact.what == "rename")
    told.facts[renamed] = 2
    assert [f"{renamed} (seen 1, captured 2)"] == compare([observation()], told).invented
    assert [f"{renamed} (seen 2, captured 1)"] == compare([told], observation()).missed


def test_what_libc_opens_again_and_again_may_be_told_once_and_not_more_often_than_it_was():
    often, once = observation(), observation()
    (opened,) = (fact for fact in once.facts if str(fact).endswith("open /input"))
    often.facts[opened] = 3
    assert [] == compare([often], once).missed
    assert [f"{opened} (seen 1, captured 3)"] == compare([once], often).invented


def test_a_reason_is_told_beside_what_nobody_could_see():
    seen = observation()
    seen.add("java", "open", "/sys/devices/system/cpu/online")
    (missed,) = compare([seen], observation()).missed
    assert missed.startswith("java: open /sys/devices/system/cpu/online [glibc's malloc ")


def test_too_few_and_too_many_bytes_are_reported_with_both_figures():
    told = observation()
    (read,) = (fact for fact in told.bytes if fact.what == "read")
    (written,) = (fact for fact in told.bytes if (fact.what, fact.object) == ("written", "/made"))
    told.bytes[read], told.bytes[written] = 3, 5
    compared = compare([observation()], told)
    assert [f"{read.program}: bytes read /input (seen 4, captured 3)"] == compared.missed
    assert [f"{read.program}: bytes written /made (seen 2, captured 5)"] == compared.invented


def test_what_differs_between_bare_runs_need_not_be_captured_and_is_not_invented():
    once = observation()
    once.add("sh", "open", "/maybe")
    assert [] == compare([once, observation()], observation()).missed
    assert [] == compare([once, observation()], once).invented
