#!/bin/sh
# start.sh FOLDER: the first process of private namespaces (mount, network, pid, ipc, uts). What make_tree.sh has made becomes
# the root of the file system, with FOLDER/project as /project and FOLDER/context as /srv, and dockerd runs there. All ends with this process.
set -eu
folder=$1
. "${0%/*}/layers.sh"
join_layers "$folder"
cd "$folder/root"
mkdir -p project old
mount --bind "$folder/project" project
mount --bind "$folder/context" srv
# The engine lays file systems over each other, too, which can't be done upon such a one.
rm -rf "$folder/state"
mkdir "$folder/state"
mkdir -p var/lib/docker
mount --bind "$folder/state" var/lib/docker
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mkdir run/lock
pivot_root . old
cd /
umount -l /old
ip link set lo up
# For what containers leave behind, something has to wait.
exec tini -- dockerd --exec-opt native.cgroupdriver=cgroupfs
