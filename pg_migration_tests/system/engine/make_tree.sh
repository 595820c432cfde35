#!/bin/sh
# Makes a Debian with Docker in it: make_tree.sh FOLDER [SUITE], as root in a mount namespace of its own.
#
# FOLDER/debian becomes the bare system with Python; FOLDER/docker what the engine needs beyond that. Both stay for the
# next time. FOLDER/context becomes what the Dockerfile here needs: that system, and what FOLDER/project installs.
set -eu
folder=$1 suite=${2:-trixie}
. "${0%/*}/layers.sh"
export DEBIAN_FRONTEND=noninteractive

if [ ! -e "$folder/debian.made" ]; then
    rm -rf "$folder/debian" "$folder/docker" "$folder/docker.made"
    mirror=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' 2>/dev/null | sort | head -n 1)
    debootstrap --variant=minbase --include=ca-certificates,python3-minimal,python3-pip \
        "$suite" "$folder/debian" "${mirror:-http://deb.debian.org/debian}"
    touch "$folder/debian.made"
fi

[ -e "$folder/docker.made" ] || rm -rf "$folder/docker"
join_layers "$folder"
root=$folder/root
mount -t proc proc "$root/proc"
cp /etc/resolv.conf "$root/etc/"
if [ ! -e "$folder/docker.made" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d" # starts no service
    chmod +x "$root/usr/sbin/policy-rc.d"
    chroot "$root" apt-get update
    chroot "$root" apt-get install --yes --no-install-recommends \
        docker.io docker-cli docker-compose docker-buildx iproute2 iptables tini
    chroot "$root" apt-get clean
    touch "$folder/docker.made"
fi

# By the Python that will install them, through the index and with the certificates of this machine.
rm -rf "$folder/context"
mkdir -p "$folder/context/wheels"
mount --bind "$folder/context/wheels" "$root/mnt"
mount --bind "$folder/project" "$root/srv"
authorities=/etc/ssl/certs/ca-certificates.crt
[ ! -e "$authorities" ] || cp "$authorities" "$root$authorities"
index=$(python3 -m pip config get global.index-url 2> /dev/null || echo https://pypi.org/simple)
PIP_INDEX_URL=${PIP_INDEX_URL:-$index} PIP_FIND_LINKS= \
    chroot "$root" python3 -m pip download --quiet --dest /mnt "setuptools>=77" "/srv[docker,kubernetes]"
rm -f "$folder/context/wheels/pg_migration"*
tar -C "$folder/debian" -c . > "$folder/context/debian.tar"
