# SPDX-License-Identifier: MIT
# Runs inside mmdebstrap, with the new root as $1: adds the hypervisor, the kernel
# and its Xen modules, and compiles Python's library, which is slow when emulated.
set -eu
python=$(cd "$1/usr/bin" && ls python3.* | grep -Ex 'python3\.[0-9]+')
library=$1/usr/lib/$python
for part in pydoc_data ensurepip idlelib lib2to3 test tkinter distutils unittest turtledemo \
    asyncio email xml xmlrpc curses dbm wsgiref html http zoneinfo venv sqlite3 multiprocessing; do
    rm -rf "${library:?}/$part"
done
chroot "$1" "/usr/bin/$python" -m compileall -q -b "/usr/lib/$python"

mkdir -p "$1/lab/deb"
cd "$1/lab/deb"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
kernel=$(apt-cache depends linux-image-amd64 |
    sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
hypervisor=$(apt-cache depends xen-system-amd64 |
    sed -n 's/.*Depends: \(xen-hypervisor-[0-9].*\)/\1/p' | head -n 1)
apt-get download -q "$kernel" "$hypervisor"
for deb in *.deb; do
    dpkg-deb --fsys-tarfile "$deb" >all.tar
    for part in './boot/vmlinuz*' './boot/xen*.gz' '*/virtio*.ko' '*/xen*.ko'; do
        tar -x -C .. -f all.tar --wildcards "$part" 2>/dev/null || true
    done
    dpkg-deb --field "$deb" Package Version >>../versions
done
cd .. && rm -r deb
