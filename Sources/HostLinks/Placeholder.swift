// HostLinks
