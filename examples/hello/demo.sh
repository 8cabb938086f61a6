#!/bin/sh
# Builds this example from nothing: a busybox root file system made on the spot is the base.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
demo=${DEMO:-$(dirname "$(dirname "$here")")/.demo}

if [ "$(id -u)" != 0 ]; then
    echo "demo: a RUN needs root for now: sudo make demo" >&2
    exit 8
fi
rm -rf "$demo"
mkdir -p "$demo/base/bin"
cp "$(command -v busybox)" "$demo/base/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$demo/base/bin/$applet"
done

set -- --build-context "base=$demo/base" --store "$demo/store" --progress plain \
    --tag hello:latest --output "type=oci,dest=$demo/hello,tar=false" "$here"
echo "+ fswatch-builder build $*"
fswatch-builder build "$@"
echo
echo "Once more, with nothing changed: every step comes from the cache."
fswatch-builder build "$@" 2>&1 | grep -c CACHED | sed 's/$/ steps from the cache/'
