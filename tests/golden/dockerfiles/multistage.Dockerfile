# syntax=docker/dockerfile:1
# A C program, built in one stage and copied into an empty one.
ARG BASE=debian:bookworm-slim
ARG CFLAGS

FROM --platform=$BUILDPLATFORM ${BASE} AS build
ARG CFLAGS="-O2 -static"
WORKDIR /src
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    # the compiler
    apt-get update && \
    apt-get install -y --no-install-recommends gcc libc6-dev
COPY --chown=0:0 *.c include/ ./
RUN cc $CFLAGS -o /hello hello.c

FROM scratch
COPY --from=build --chmod=0755 /hello /usr/bin/
USER 65534:65534
ENTRYPOINT ["/usr/bin/hello"]
CMD ["--help"]
