FROM busybox
RUN echo one \
  && echo two \  
# a comment in between
    # an indented one
  && echo three \

  && echo four
RUN echo not\\
RUN echo joi\
ned
ENV a=1 \
    b="two words" \
    # why c
    c=th\
ree
LABEL "org.example.a"="b"\
      "org.example.c"="d"
RUN echo '# no comment' # and none here
CMD echo end \
# last
