from busybox

  run echo a
	RUN	echo	tabs

Run echo mixed
CMD