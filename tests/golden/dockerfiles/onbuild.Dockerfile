FROM a
ONBUILD RUN make  -j2
ONBUILD COPY <<E /d
body
E
