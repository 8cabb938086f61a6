FROM busybox
SHELL ["/bin/sh", "-ec"]
RUN ["echo", "a b", "\"quoted\"", "\\", "\u00e9", ""]
RUN [ "echo" , 
CMD ['single', 'quotes']
ENTRYPOINT []
VOLUME ["/data one", "/data/two"]
COPY ["a file", "another", "/dest dir/"]
ADD ["x.tar", "/"]
RUN ["echo" "no comma"]
CMD [ ]
