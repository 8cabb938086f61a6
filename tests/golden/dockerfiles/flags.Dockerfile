FROM --platform=linux/amd64 busybox
RUN --mount=type=secret,id=a --mount=type=bind,source=.,target=/src --network=none --security=sandbox make
COPY --link --parents --exclude=*.md --exclude='with blank' src/./lib /dest/
COPY --from=0 --chown="user:group" -- --odd-name /x
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.org/a /a
ADD --keep-git-dir=true --unpack=FALSE x.tar /
RUN echo --not-a-flag
RUN -- --mount=x
