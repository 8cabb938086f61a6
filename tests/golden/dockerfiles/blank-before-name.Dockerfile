FROM busybox
RUN cat << EOF > /x
one
EOF
COPY << name.txt /y
two
name.txt
