package conformance

// usage is what a plugin's processes have and take.
type usage struct {
	threads, files int
	resident       int64    // bytes
	listening      []string // TCP addresses
	written        []string // regular files that are open for writing
}
