echo "Hello from an image that was watched while it was built: $1."
