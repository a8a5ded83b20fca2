import Testing

@testable import Configuration

/// Interfaces in the syntax of xl-network-configuration(5), with Paravane's links.
struct NetworkSpecificationTests {
  func vif(_ text: String) throws -> NetworkSpecification { try NetworkSpecification(parsing: text) }

  @Test func anEmptyOneIsOnTheUserNetwork() throws {
    for text in ["", " ", ",", "link=user"] { #expect(try vif(text) == NetworkSpecification(), "\(text)") }
  }

  @Test func everyKey() throws {
    let card = try vif("mac=00:16:3e:aB:01:fF, model=e1000, vifname=lan, mtu=9000, type=vif, ip=10.0.0.1, rate=1Mb/s, link=none")
    #expect(card.mac == [0x00, 0x16, 0x3E, 0xAB, 0x01, 0xFF])
    #expect(card.model == "e1000" && card.name == "lan" && card.mtu == 9000 && card.link == .none)
    #expect(try vif("link=tap,ifname=tap0").link == .tap("tap0"))
    #expect(try vif("path=/run/a=b.sock,link=socket").link == .socket("/run/a=b.sock"))
  }

  @Test func forwards() throws {
    let card = try vif("link=user,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::5353-10.0.2.15:53")
    #expect(
      card.forwards == [
        .init(isUDP: false, hostAddress: "127.0.0.1", hostPort: 2222, guestAddress: "", guestPort: 22),
        .init(isUDP: true, hostAddress: "127.0.0.1", hostPort: 5353, guestAddress: "10.0.2.15", guestPort: 53),
      ])
  }

  @Test(arguments: [
    "word", "key=1", "=", "mac", "mac=", "mac=00:16:3e:00:00", "mac=00:16:3e:00:00:00:00", "mac=00:16:3e:00:00:0", "mac=00:16:3e:00:00:gg",
    "mac=00:16:3e:00:00:+1", "mac=00-16-3e-00-00-00", "mac=01:16:3e:00:00:00", "mac=ff:ff:ff:ff:ff:ff", "mtu=67", "mtu=65536", "mtu=big",
    "mtu=-1",
    "type=pv", "link=bridge", "link=", "link=tap", "link=socket", "link=tap,path=/x", "bridge=xenbr0", "script=vif-nat", "backend=1",
    "gatewaydev=eth0",
    "hostfwd=", "hostfwd=tcp", "hostfwd=tcp:127.0.0.1:2222", "hostfwd=tcp:2222-:22", "hostfwd=sctp::1-:2", "hostfwd=tcp::65536-:22",
    "hostfwd=tcp::1-:65536", "hostfwd=tcp::1-22", "hostfwd=tcp::x-:22", "hostfwd=tcp::-1-:22", "hostfwd=tcp::1-a:b:22",
    "hostfwd=tcp::+1-:22",
    "link=none,hostfwd=tcp::2222-:22", "link=tap,ifname=t,hostfwd=tcp::2222-:22",
  ])
  func refusedForms(text: String) throws {
    let error = #expect(throws: ConfigurationError.self, "\(text)") { try vif(text) }
    #expect(error?.message.hasPrefix("vif: ") == true && error?.message.contains("\n") == false)
  }

  @Test func aBridgeIsToldWhatToUseInstead() {
    let error = #expect(throws: ConfigurationError.self) { try vif("bridge=xenbr0") }
    #expect(error?.message.contains("link=user") == true)
  }
}
