// Xenstore
