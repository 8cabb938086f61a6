FROM busybox
RUN echo a \
  b

# comment
RUN <<EOF
line
EOF
CMD ["x"]
