import HostLinks

// What is asked of a running machine at its control socket (`--monitor`); answered on the machine's thread.

extension GuestMachine {
  func startMonitor() throws {
    guard let path = options.monitorPath, !isStepped else { return }
    let server = MonitorServer(path: path, version: paravaneVersion)
    let mailbox = self.mailbox
    do {
      try server.start(receive: { mailbox.post(.monitor($0)) })
    } catch {
      throw MachineError(status: 66, message: "\(error)")
    }
    monitor = server
    liveOutside = true
  }

  func answer(_ request: MonitorRequest) {
    switch request.command {
    case .queryStatus: request.succeed(.object(["running": .bool(true), "status": .string("running")]))
    case .screenDump(let path): settle(request, dumpScreen(to: path))
    case .sendKeys(let keys): settle(request, press(keys))
    case .powerDown: settle(request, askForPowerOff() ? nil : "the guest does not listen")
    case .reset: settle(request, resetByHand())
    case .quit:
      request.succeed()
      endedBy = .poweroff
    }
  }

  private func settle(_ request: MonitorRequest, _ problem: String?) {
    if let problem { request.fail(problem) } else { request.succeed() }
  }
}
