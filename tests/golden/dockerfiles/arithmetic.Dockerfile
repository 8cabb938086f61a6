FROM busybox
RUN echo $((1 << 2)) $((1<<2))
RUN echo $((1 << 3)) <<X
body
X
