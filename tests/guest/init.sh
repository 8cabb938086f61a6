#!/bin/busybox sh
# The guest's first process. Its root is the host's, read-only, under an overlay whose writes are dropped; tests write to
# an ext4 of their own. What it is told stands in /settings.
/bin/busybox mkdir -p /bin
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
. /settings

give_up() {
    echo "{\"type\": \"Failed\", \"why\": \"the guest did not start: $1\"}" > /dev/ttyS1
    echo o > /proc/sysrq-trigger
    sleep 60
}

mount_9p() { # tag, place, options
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2" || give_up "no 9p: $1"
}

for module in /modules/*; do
    insmod "$module" || give_up "$module"
done
mount_9p host /host ro,cache=loose
mount -t tmpfs -o size=75% tmpfs /upper
mkdir /upper/changes /upper/work
mount -t overlay -o lowerdir=/host,upperdir=/upper/changes,workdir=/upper/work overlay /root || give_up "no overlay"

for directory in proc sys dev; do
    mount --move "/$directory" "/root/$directory"
done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t tmpfs tmpfs /root/run
mkdir -p /root/run/results /root/run/tests /root/usr/lib/modules
mount_9p results /root/run/results rw,cache=none
mount --bind "/root$MODULES" /root/usr/lib/modules || give_up "no modules at $MODULES"
ip link set lo up

exec switch_root /root /bin/sh -c '
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TMPDIR=/run/tests
    export PYTHONPATH="$1"
    cd "$1"
    mkfs.ext4 -q /dev/vda && mount /dev/vda "$TMPDIR" && "$2" -m tests.guest.inside /run/results/plan.json > /dev/ttyS1
    echo o > /proc/sysrq-trigger
    sleep 60
' init "$PROJECT" "$PYTHON"
