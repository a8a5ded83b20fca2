// Until the vector part provides them: delete this file then.
func pendingSyncMXCSR(_ cpu: CPU) {}
func pendingLoadMXCSR(_ cpu: CPU) {}
func pendingRefresh(_ cpu: CPU) {}
