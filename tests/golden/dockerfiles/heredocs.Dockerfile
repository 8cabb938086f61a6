FROM busybox
RUN <<EOF
set -e
# stays in the script
echo "$HOME" \
  again

EOF
RUN cat <<-'A' <<"B" > /both && echo done
	tabs go
		all of them
	A
tabs	stay
B
RUN 3<<DATA cat <&3
through a descriptor
DATA
RUN <<EOF python3
print("<<X")
EOF
COPY <<motd.txt <<'raw.sh' plain.txt /etc/files/
Welcome to ${NAME:-nowhere}
motd.txt
echo $NAME
raw.sh
ADD --chmod=0755 <<-x.sh /usr/bin/x.sh
	#!/bin/sh
	echo "x"
	x.sh
RUN echo "<<QUOTED" '<<ALSO' 1<2 a<<b
ONBUILD RUN ["true"]
RUN ["echo", "<<JSON"]
