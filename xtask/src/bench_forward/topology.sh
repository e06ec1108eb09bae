# Three namespaces in a row: an application, what forwards its traffic, and a server.
#
#   $app                          $eng                               $srv
#     app0 198.51.100.2  --cable--  inner 198.51.100.1
#          2001:db8:1::2                  2001:db8:1::1
#                                   tun0
#                                   outer 192.0.2.2       --cable--  srv0 192.0.2.80
#                                         2001:db8:2::2                   2001:db8:2::80
#
# $way says how the application's packets get through $eng: `kernel` forwards them, `tun` leads what
# comes in by `inner` to tun0, whose reader has sockets of its own that leave by the main table, and `none` leaves
# the application without a cable, for what brings one of its own.
#
# Run with `sh -e`; nothing outside of the three namespaces is touched.

for place in "$app" "$eng" "$srv"; do
    ip netns add "$place"
    ip -n "$place" link set lo up
    ip netns exec "$place" sysctl -qw \
        net.ipv4.ip_local_port_range="1024 65535" \
        net.core.somaxconn=16384 \
        net.ipv4.tcp_max_syn_backlog=16384 \
        net.ipv4.conf.all.rp_filter=0 \
        net.ipv4.conf.default.rp_filter=0 \
        net.ipv6.conf.default.accept_dad=0
done

join() { # namespace, interface, its IPv4, its IPv6, the other namespace, interface, IPv4, IPv6
    ip -n "$1" link add "$2" type veth peer name "$6" netns "$5"
    ip -n "$1" address add "$3/24" dev "$2"
    ip -n "$1" address add "$4/64" dev "$2" nodad
    ip -n "$5" address add "$7/24" dev "$6"
    ip -n "$5" address add "$8/64" dev "$6" nodad
    ip -n "$1" link set "$2" up
    ip -n "$5" link set "$6" up
}

join "$eng" outer 192.0.2.2 2001:db8:2::2 "$srv" srv0 192.0.2.80 2001:db8:2::80
ip -n "$srv" route add default via 192.0.2.2
ip -n "$srv" route add default via 2001:db8:2::2
# What the server lacks is unreachable, which it says as a router would.
ip netns exec "$srv" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -n "$srv" route add unreachable 203.0.113.0/24
ip -n "$srv" route add unreachable 2001:db8:bad::/48
ip -n "$srv" address add 192.0.2.1/24 dev srv0
ip -n "$srv" address add 2001:db8:2::1/64 dev srv0 nodad preferred_lft 0
ip -n "$eng" route add default via 192.0.2.1
ip -n "$eng" route add default via 2001:db8:2::1

if [ "$way" != none ]; then
    join "$app" app0 198.51.100.2 2001:db8:1::2 "$eng" inner 198.51.100.1 2001:db8:1::1
    ip -n "$app" route add default via 198.51.100.1
    ip -n "$app" route add default via 2001:db8:1::1
    ip netns exec "$eng" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
fi
if [ "$way" = tun ]; then
    ip -n "$eng" tuntap add tun0 mode tun
    ip -n "$eng" address add 198.18.0.1/30 dev tun0
    ip -n "$eng" link set tun0 mtu 1500 up
    for family in -4 -6; do
        ip "$family" -n "$eng" rule add iif inner lookup 100
        ip "$family" -n "$eng" route add default dev tun0 table 100
    done
fi
