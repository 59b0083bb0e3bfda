#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# Brings the Linux guest up as far as its driver needs it, then hands over to the agent.
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
while read -r module; do
    insmod "/modules/$module.ko" || echo "lab: stage guest: cannot load $module"
done </modules/order
export PATH="$PATH:/usr/bin" HOME=/tmp
cd /tmp
exec "$(echo /usr/bin/python3.*)" /lab/guest.py </dev/hvc0 >/dev/hvc0 2>/dev/console
