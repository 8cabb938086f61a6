FROM busybox
RUN cat <<- EOF
	one
	EOF
