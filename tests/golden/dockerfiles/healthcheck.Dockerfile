FROM a
HEALTHCHECK --interval=5s --timeout=1m30s --start-period=2h --start-interval=10ms --retries=3 \
  # comment
  CMD curl -f "x"  || exit 1
HEALTHCHECK CMD ["a", "b c"]
healthcheck cmd ['a']
HealthCheck none
MAINTAINER  Me <a@b>  x 
