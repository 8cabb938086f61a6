# check=skip=all
# escape=`
FROM busybox
RUN a `
  b
