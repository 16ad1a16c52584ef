"""Where webhooks may go, and what hostile URLs and addresses meet."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_gateway.control.webhook_target import checked_url, is_loopback, is_public

PUBLIC = ["8.8.8.8", "1.1.1.1", "203.0.114.1", "2606:4700:4700::1111", "2a00:1450:4001::200e"]
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3",  # noqa: S104
    "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "203.0.113.9",    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe", "64:ff9b::8.8.8.8",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
    "", "localhost", "127.1", "0x7f.1", "2130706433", "8.8.8.8 ",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_other_address_is_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_address_of_the_old_internet_passes_inside_one_of_the_new(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    inside = [number, 0xFFFF << 32 | number, (0x64FF9B << 96) | number, (0x2002 << 112) | number << 80]
    assert not any(is_public(str(ipaddress.IPv6Address(one))) for one in inside)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_known_by_its_addresses(address: str) -> None:
    assert is_loopback(address)
    assert not is_loopback("localhost")


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example.com/hook",
        "https://crm.example.com:8443/a/b?c=d&e=%20",
        "https://crm.example.com:443/",
        "https://xn--fiq228c.example/hook",
        "https://8.8.8.8/hook",
        "https://[2606:4700:4700::1111]/hook",
        "http://127.0.0.1:9/hook",
        "http://localhost:5000/hook",
        "http://[::1]:5000/hook",
    ],
)
def test_a_webhook_may_be_https_of_the_internet_or_http_of_this_machine(url: str) -> None:
    assert checked_url(url) == url


HOSTILE = [
    "", "crm.example.com/hook", "//crm.example.com/hook", "ftp://crm.example.com/", "file:///etc/passwd",
    "gopher://crm.example.com/", "http://crm.example.com/hook", "HTTPS://crm.example.com/", "https:/crm.example.com/",
    "https://", "https:///path", "https://user@crm.example.com/", "https://user:secret@crm.example.com/",
    "https://8.8.8.8@127.0.0.1/", "https://crm.example.com#@127.0.0.1/", "https://crm.example.com/#fragment",
    "https://crm.example.com:80/", "https://crm.example.com:22/", "https://crm.example.com:6379/", "https://crm.example.com:0/",
    "https://crm.example.com:99999/", "https://crm.example.com:x/",
    "https://127.0.0.1/", "https://10.0.0.1/", "https://169.254.169.254/latest/meta-data/", "https://100.100.100.200/",
    "https://0.0.0.0/", "https://255.255.255.255/", "https://224.0.0.1/", "https://127.1/", "https://0x7f.1/",
    "https://0x7f000001/", "https://0177.0.0.1/", "https://2130706433/", "https://017700000001/", "https://1.2.3.0x4/",
    "https://127.0.0.1./", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[64:ff9b::7f00:1]/",
    "https://[fe80::1%25eth0]/", "https://[fd00:ec2::254]/", "https://[::]/", "https://[v1.x]/", "https://[::1",
    "https://localhost/", "https://intranet/", "https://localhost:8443/", "https://crm..example.com/", "https://-a.example/",
    "https://crm.example.com%2f@127.0.0.1/", "https://crm%2eexample.com/", "https://crm.example.com\\@127.0.0.1/",
    "https://crm.example.com/ x", "https://crm.example.com/\r\nHost: x", "https://crm.example.com/\x00", "https://crm。example。com/",
    "https://①②⑦.⓪.⓪.①/", "http://127.0.0.1@crm.example.com/", "http://127.0.0.1.nip.io/", "http://10.0.0.1/",
    "http://169.254.169.254/", "https://crm.example.com/" + "a" * 2048,
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_by_its_form(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        checked_url(url)


@given(st.text(max_size=80))
def test_whatever_is_written_there_is_an_answer(text: str) -> None:
    for url in (text, f"https://{text}", f"https://crm.example.com{text}"):
        try:
            assert checked_url(url) == url
        except ValueError as error:
            assert str(error)  # noqa: PT017
