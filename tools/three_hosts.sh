#!/usr/bin/env bash
# Runs a command on the first of three hosts that are made for it out of this machine's namespaces, as nodes of one Ray
# cluster. The second and the third have an address, processes and folders of their own: a clone of what is committed,
# an empty /tmp, and nothing of this folder but the installed packages. `ip link set at3 down` cuts the third off.
#
#     tools/three_hosts.sh make studies
set -euo pipefail

if [ -z "${INSIDE:-}" ]; then
    export INSIDE=yes
    exec unshare --user --map-root-user --mount --net --pid --fork --kill-child --mount-proc "$0" "$@"
fi
project=$PWD
ray=("$project/.venv/bin/python" -m ray.scripts.scripts start --num-cpus=1 --disable-usage-stats --block)
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN DESCENT_CLUSTER=10.7.0.1:6379
RAY_AUTH_TOKEN=$(head --bytes=32 /dev/urandom | od --address-radix=n --format=x8 | tr --delete ' \n')

host() {  # in namespaces of its own: wait for the network, hide the folders, join
    until ip link set "host$1" up 2> /dev/null; do sleep 0.1; done
    ip link set lo up
    ip address add "10.7.0.$1/24" dev "host$1"
    mount -t tmpfs none /mnt
    mkdir /mnt/code /mnt/packages /mnt/work
    git clone --quiet "file://$project" /mnt/code
    mount --bind "$project/.venv" /mnt/packages
    mount -t tmpfs none "$project"
    mkdir "$project/.venv"
    mount --move /mnt/packages "$project/.venv"
    mount -t tmpfs none /tmp
    cd /mnt/work
    PYTHONPATH=/mnt/code/src exec "${ray[@]}" --node-ip-address="10.7.0.$1" --address="$DESCENT_CLUSTER"
}

ip link set lo up
ip link add hosts type bridge
ip address add 10.7.0.1/24 dev hosts
ip link set hosts up
mount -t tmpfs none /tmp
"${ray[@]}" --head --port=6379 --node-ip-address=10.7.0.1 --include-dashboard=false > /tmp/host1 2>&1 &
until (: < /dev/tcp/10.7.0.1/6379) 2> /dev/null; do sleep 0.1; done
export -f host
export project
for number in 2 3; do
    unshare --mount --net --pid --fork --kill-child --mount-proc bash -c "$(declare -p ray); host $number" \
        > "/tmp/host$number" 2>&1 &
    while [ "/proc/$!/ns/net" -ef /proc/self/ns/net ]; do sleep 0.1; done
    ip link add "at$number" type veth peer name "host$number" netns "$!"
    ip link set "at$number" master hosts up
done
"$@"
