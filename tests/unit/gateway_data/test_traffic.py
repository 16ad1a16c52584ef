"""What a request tells of its traffic: robots, fetching ahead, whose address, and never the address itself."""

import ipaddress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from data_plane_world import NOW_US, World
from hypothesis import given
from hypothesis import strategies as st

from bihuan_gateway.data.domain.traffic import (
    DAY_US,
    AddressRanges,
    Traffic,
    Visit,
    address_hash,
    client_address,
    day_key,
    is_prefetch,
    networks_in,
)
from bihuan_gateway.data.plane import traffic_watch
from bihuan_gateway.data.robots import MAX_CHARS, REMEMBERED, RobotList
from bihuan_gateway.data.settings import DataSettings
from bihuan_gateway.data.use_cases.watch import TrafficWatch
from bihuan_shared.tokens import TrackingToken

PEOPLE = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Linux; Android 14; CUBOT X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile",
    "",
]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_browsers_of_people_are_no_robots(user_agent: str) -> None:
    assert not RobotList()(user_agent)


def test_every_robot_that_the_list_shows_is_told() -> None:
    is_robot = RobotList()
    shown = [example for one in CRAWLER_USER_AGENTS_DATA for example in one.get("instances", ())]
    assert len(shown) > 1_000
    assert [example for example in shown if not is_robot(example)] == []


def test_remembered_user_agents_are_bounded_in_number_and_length() -> None:
    is_robot = RobotList()
    for number in range(REMEMBERED + 10):
        is_robot(f"Googlebot/{number}")
    assert is_robot._known.cache_info().currsize == REMEMBERED
    assert not is_robot("x" * MAX_CHARS + "Googlebot/")


@pytest.mark.parametrize(
    ("purposes", "expected"),
    [
        (("prefetch",), True),
        (("prefetch;prerender",), True),
        (("prefetch; anonymous-client-ip",), True),
        (("Prefetch",), True),
        (("preview",), True),
        (("", "prefetch"), True),
        (("something, prefetch;x=1",), True),
        ((), False),
        (("",), False),
        (("unprefetch",), False),
        (("navigate;prefetch",), False),
    ],
)
def test_a_browser_says_that_it_fetches_ahead(purposes: tuple[str, ...], *, expected: bool) -> None:
    assert is_prefetch(purposes) is expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        ("203.0.113.7", "", 0, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", 0, "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", 1, "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", 1, "2001:db8::1"),
        ("::ffff:203.0.113.7", "", 0, "203.0.113.7"),
        ("fe80::1%eth0", "", 0, "fe80::1"),
        ("10.0.0.1", "198.51.100.1", 2, None),
        ("10.0.0.1", "", 1, None),
        ("10.0.0.1", "unknown", 1, None),
        ("", "", 0, None),
        ("testclient", "", 0, None),
    ],
)
def test_the_header_is_believed_as_far_as_our_own_proxies_wrote_it(
    peer: str, forwarded: str, proxies: int, expected: str | None
) -> None:
    found = client_address(peer, forwarded, proxies)
    assert found == (ipaddress.ip_address(expected) if expected else None)


def test_an_address_is_another_number_every_day_and_under_every_key() -> None:
    address = ipaddress.ip_address("203.0.113.7")
    morning = address_hash(address, day_key(b"a" * 32, 5 * DAY_US))
    assert morning == address_hash(address, day_key(b"a" * 32, 6 * DAY_US - 1))
    others = [address_hash(address, day_key(key, at)) for key, at in ((b"a" * 32, 6 * DAY_US), (b"b" * 32, 5 * DAY_US))]
    assert len({morning, *others}) == 3
    assert all(0 < one < 2**64 for one in (morning, *others))


def test_addresses_of_one_connection_count_as_one() -> None:
    key = day_key(b"a" * 32, 0)
    one, same, other = (ipaddress.ip_address(text) for text in ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"))
    assert address_hash(one, key) == address_hash(same, key) != address_hash(other, key)
    v4 = [ipaddress.ip_address(text) for text in ("203.0.113.7", "203.0.113.8")]
    assert address_hash(v4[0], key) != address_hash(v4[1], key)


NETWORKS = st.one_of(
    st.builds(
        lambda number, bits: ipaddress.ip_network((number, bits), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(20, 32),
    ),
    st.builds(
        lambda number, bits: ipaddress.ip_network((number, bits), strict=False),
        st.integers(2**125, 2**125 + 2**70),
        st.integers(56, 128),
    ),
)


@given(st.lists(NETWORKS, max_size=12), st.data())
def test_a_range_is_found_as_by_looking_at_every_network(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network], data: st.DataObject
) -> None:
    ranges = AddressRanges(map(str, networks))
    edges = [one[0] for one in networks] + [one[-1] for one in networks]
    edges += [one + 1 for one in edges if int(one) < 2**32 - 1] + [one - 1 for one in edges if int(one) > 0]
    edges.append(data.draw(st.ip_addresses()))
    for address in edges:
        assert (address in ranges) is any(address in one for one in networks)


def test_a_file_of_networks_may_hold_remarks() -> None:
    assert networks_in("# cloud\n\n203.0.113.0/24  # here\r\n2001:db8::/32\n") == ["203.0.113.0/24", "2001:db8::/32"]
    with pytest.raises(ValueError, match="nonsense"):
        AddressRanges(["nonsense"])


def test_the_settings_name_the_file_of_networks(tmp_path: Path) -> None:
    file = tmp_path / "clouds.txt"
    file.write_text("203.0.113.0/24\n")
    watch = traffic_watch("k1:secret", DataSettings(data_centre_file=file, trusted_proxies=1))
    assert watch.judge(Visit(peer="10.0.0.1", forwarded="203.0.113.9"), NOW_US).data_centre
    assert not watch.judge(Visit(peer="203.0.113.9", forwarded="198.51.100.1"), NOW_US).data_centre


def test_the_hash_needs_the_token_keys_and_shares_nothing_with_the_names_of_decisions() -> None:
    watches = [traffic_watch(keys, DataSettings()) for keys in ("k1:secret", "k2:other", "k3:new,k1:secret")]
    hashes = [one.judge(Visit(peer="8.8.4.4"), NOW_US).address_hash for one in watches]
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "100.64.0.9", "::1", "fd00::1"])
def test_an_address_that_is_not_public_is_nobodys(address: str) -> None:
    watch = TrafficWatch(RobotList(), b"k", AddressRanges(["10.0.0.0/8"]))
    traffic = watch.judge(Visit(peer=address), NOW_US)
    assert (traffic.address_hash, traffic.data_centre) == (0, address == "10.1.2.3")


def test_a_visit_that_says_nothing_gives_no_signal() -> None:
    assert TrafficWatch(RobotList(), b"k").judge(Visit(), NOW_US) == Traffic()


TOKEN = TrackingToken(
    token_id="0" * 32,
    decision_id="1" * 32,
    creative_id="tea-0",
    placement_id="home",
    campaign_id="tea",
    advertiser_id="acme",
    ad_group_id="tea-group",
    terms_version=3,
    pricing_model="cpm",
    price_micros=5,
    currency="USD",
    person_id=7,
    issue_time_us=NOW_US,
    expire_time_us=NOW_US + DAY_US,
    reserve_nanos=5,
    reservation_id="2" * 32,
)


@pytest.mark.parametrize("path", ["i", "v", "l", "c"])
async def test_signals_of_a_request_go_with_its_beacon(world: World, client: httpx.AsyncClient, path: str) -> None:
    world.advertise("tea")
    url = f"/t/{path}/{world.keys.seal(replace(TOKEN), b'n' * 12)}"
    await client.get(url, headers={"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)", "sec-purpose": "prefetch"})
    await client.get(url, headers={"user-agent": PEOPLE[0], "x-forwarded-for": "198.51.100.1"})
    robot, person = (beacon.traffic for beacon in world.events.beacons)
    assert (robot.known_bot, robot.prefetch, robot.data_centre) == (True, True, False)
    assert (person.known_bot, person.prefetch, person.data_centre) == (False, False, False)
    # Without a proxy of ours nobody is believed about the address.
    assert (robot.address_hash, person.address_hash) == (0, 0)


@pytest.mark.parametrize("header", ["sec-purpose", "purpose", "x-purpose", "x-moz"])
async def test_each_header_for_fetching_ahead_is_read(world: World, client: httpx.AsyncClient, header: str) -> None:
    world.advertise("tea")
    await client.get(f"/t/i/{world.keys.seal(TOKEN, b'n' * 12)}", headers={header: "prefetch"})
    assert [beacon.traffic.prefetch for beacon in world.events.beacons] == [True]
