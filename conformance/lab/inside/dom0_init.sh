#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# Brings dom0 up as far as a toolstack needs it, then hands over to the server.
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /sbin /usr/sbin /etc/xen /var/lib/xen /var/log/xen
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
[ -e /var/run ] || ln -s /run /var/run
mkdir -p /run/xen /run/xenstored /run/lock
[ -e /var/lock ] || ln -s /run/lock /var/lock
: >/etc/xen/xl.conf
while read -r module; do
    insmod "/modules/$module.ko" || echo "lab: stage dom0: cannot load $module"
done </modules/order
mount -t xenfs xenfs /proc/xen
tools=$(echo /usr/lib/xen-*/bin)
export PATH="$PATH:/usr/bin:$tools" HOME=/ XEN_LIB="$tools"
ip link set lo up 2>/dev/null
xenstored --pid-file /run/xenstored.pid
i=0
while ! [ -S /run/xenstored/socket ] && [ $i -lt 100 ]; do
    usleep 50000
    i=$((i + 1))
done
xenstore-control logfile /tmp/xenstored.log >/dev/null
xenstore-control log on >/dev/null
xen-init-dom0
# What guests say is kept; one that says too much fills this and nothing else.
mkdir -p /var/log/xen/console
mount -t tmpfs -o size=16m consoles /var/log/xen/console
xenconsoled --log=guest --pid-file=/run/xenconsoled.pid
cd /tmp
echo "lab: stage dom0: up"
exec "$(echo /usr/bin/python3.*)" /lab/dom0.py
