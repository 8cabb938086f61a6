ARG A
ARG B=1 C="two words" D='$single' E= F=a=b
FROM ${A:-busybox}:$B AS Final
ARG A B
ENV legacy   the rest  'of the' line = "this"
ENV x=$legacy y="$x ${z:+z}" z=a\ b PATH=$PATH:/opt/bin
LABEL legacy value with blanks
LABEL version="1.0" \
      description="Text \
that goes on" empty=""
EXPOSE 80/tcp 53/udp $PORTS 8000-8010
WORKDIR /with blanks/in it
USER $user:${group:-staff}
STOPSIGNAL SIGQUIT
VOLUME /a /b
