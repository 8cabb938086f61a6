# escape=`
FROM busybox
RUN dir C:\ `
  more
ENV a=x`"y b=`
c
COPY --chown=a`\ b:c \a /b\
