"""Keep web pages away from the exchange's own endpoints, which ask for no key."""

from __future__ import annotations

from ipaddress import ip_address

from multidict import CIMultiDictProxy

from exchange.errors import VenueError


def check_is_local(headers: CIMultiDictProxy[str]) -> None:
    """Raise an error with HTTP status 403 unless a program of this machine asks.

    A browser sends `Origin` with what a page of another site asks for, and a host name that an
    attacker let point here (DNS rebinding) stands in `Host`.
    """
    if "Origin" in headers:
        raise VenueError.saying(-2015, "Requests from web pages are refused here.", 403)
    hosts = headers.getall("Host", [])
    if not hosts or not all(map(is_loopback, hosts)):
        raise VenueError.saying(-2015, "The host must be a loopback address.", 403)


def is_loopback(host: str) -> bool:
    """Tell whether the value of a Host header, with or without a port, names this machine."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
