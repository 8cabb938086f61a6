FROM busybox
COPY "a b" c\ d /dest/
