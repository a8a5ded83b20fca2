// Instructions to compare with the host, integer operations and moves: a name, then encodings in hexadecimal, each with the immediates it is
// tried with. Registers 0-4, 9, 10, 12 of a vector file, RAX, RCX, and [RSI + 64...].
let vectorEncodings = """
  pand 660fdbca 66450fdbca 660fdbdb 660fdb4e40
  vpand c5e9dbcb c569db4e41 c5e9dbdb c4c135dbca c5eddbdb c5f5db4e41
  pandn 660fdfca 66450fdfca 660fdfdb 660fdf4e40
  vpandn c5e9dfcb c569df4e41 c5e9dfdb c4c135dfca c5eddfdb c5f5df4e41
  por 660febca 66450febca 660febdb 660feb4e40
  vpor c5e9ebcb c569eb4e41 c5e9ebdb c4c135ebca c5edebdb c5f5eb4e41
  pxor 660fefca 66450fefca 660fefdb 660fef4e40
  vpxor c5e9efcb c569ef4e41 c5e9efdb c4c135efca c5edefdb c5f5ef4e41
  andps 0f54ca 450f54ca 0f54db 0f544e40
  vandps c5e854cb c568544e41 c5e854db c4c13454ca c5ec54db c5f4544e41
  andpd 660f54ca 66450f54ca 660f54db 660f544e40
  vandpd c5e954cb c569544e41 c5e954db c4c13554ca c5ed54db c5f5544e41
  andnps 0f55ca 450f55ca 0f55db 0f554e40
  vandnps c5e855cb c568554e41 c5e855db c4c13455ca c5ec55db c5f4554e41
  andnpd 660f55ca 66450f55ca 660f55db 660f554e40
  vandnpd c5e955cb c569554e41 c5e955db c4c13555ca c5ed55db c5f5554e41
  orps 0f56ca 450f56ca 0f56db 0f564e40
  vorps c5e856cb c568564e41 c5e856db c4c13456ca c5ec56db c5f4564e41
  orpd 660f56ca 66450f56ca 660f56db 660f564e40
  vorpd c5e956cb c569564e41 c5e956db c4c13556ca c5ed56db c5f5564e41
  xorps 0f57ca 450f57ca 0f57db 0f574e40
  vxorps c5e857cb c568574e41 c5e857db c4c13457ca c5ec57db c5f4574e41
  xorpd 660f57ca 66450f57ca 660f57db 660f574e40
  vxorpd c5e957cb c569574e41 c5e957db c4c13557ca c5ed57db c5f5574e41
  paddb 660ffcca 66450ffcca 660ffcdb 660ffc4e40
  vpaddb c5e9fccb c569fc4e41 c5e9fcdb c4c135fcca c5edfcdb c5f5fc4e41
  paddw 660ffdca 66450ffdca 660ffddb 660ffd4e40
  vpaddw c5e9fdcb c569fd4e41 c5e9fddb c4c135fdca c5edfddb c5f5fd4e41
  paddd 660ffeca 66450ffeca 660ffedb 660ffe4e40
  vpaddd c5e9fecb c569fe4e41 c5e9fedb c4c135feca c5edfedb c5f5fe4e41
  paddq 660fd4ca 66450fd4ca 660fd4db 660fd44e40
  vpaddq c5e9d4cb c569d44e41 c5e9d4db c4c135d4ca c5edd4db c5f5d44e41
  psubb 660ff8ca 66450ff8ca 660ff8db 660ff84e40
  vpsubb c5e9f8cb c569f84e41 c5e9f8db c4c135f8ca c5edf8db c5f5f84e41
  psubw 660ff9ca 66450ff9ca 660ff9db 660ff94e40
  vpsubw c5e9f9cb c569f94e41 c5e9f9db c4c135f9ca c5edf9db c5f5f94e41
  psubd 660ffaca 66450ffaca 660ffadb 660ffa4e40
  vpsubd c5e9facb c569fa4e41 c5e9fadb c4c135faca c5edfadb c5f5fa4e41
  psubq 660ffbca 66450ffbca 660ffbdb 660ffb4e40
  vpsubq c5e9fbcb c569fb4e41 c5e9fbdb c4c135fbca c5edfbdb c5f5fb4e41
  paddsb 660fecca 66450fecca 660fecdb 660fec4e40
  vpaddsb c5e9eccb c569ec4e41 c5e9ecdb c4c135ecca c5edecdb c5f5ec4e41
  paddsw 660fedca 66450fedca 660feddb 660fed4e40
  vpaddsw c5e9edcb c569ed4e41 c5e9eddb c4c135edca c5ededdb c5f5ed4e41
  psubsb 660fe8ca 66450fe8ca 660fe8db 660fe84e40
  vpsubsb c5e9e8cb c569e84e41 c5e9e8db c4c135e8ca c5ede8db c5f5e84e41
  psubsw 660fe9ca 66450fe9ca 660fe9db 660fe94e40
  vpsubsw c5e9e9cb c569e94e41 c5e9e9db c4c135e9ca c5ede9db c5f5e94e41
  paddusb 660fdcca 66450fdcca 660fdcdb 660fdc4e40
  vpaddusb c5e9dccb c569dc4e41 c5e9dcdb c4c135dcca c5eddcdb c5f5dc4e41
  paddusw 660fddca 66450fddca 660fdddb 660fdd4e40
  vpaddusw c5e9ddcb c569dd4e41 c5e9dddb c4c135ddca c5eddddb c5f5dd4e41
  psubusb 660fd8ca 66450fd8ca 660fd8db 660fd84e40
  vpsubusb c5e9d8cb c569d84e41 c5e9d8db c4c135d8ca c5edd8db c5f5d84e41
  psubusw 660fd9ca 66450fd9ca 660fd9db 660fd94e40
  vpsubusw c5e9d9cb c569d94e41 c5e9d9db c4c135d9ca c5edd9db c5f5d94e41
  pavgb 660fe0ca 66450fe0ca 660fe0db 660fe04e40
  vpavgb c5e9e0cb c569e04e41 c5e9e0db c4c135e0ca c5ede0db c5f5e04e41
  pavgw 660fe3ca 66450fe3ca 660fe3db 660fe34e40
  vpavgw c5e9e3cb c569e34e41 c5e9e3db c4c135e3ca c5ede3db c5f5e34e41
  pminub 660fdaca 66450fdaca 660fdadb 660fda4e40
  vpminub c5e9dacb c569da4e41 c5e9dadb c4c135daca c5eddadb c5f5da4e41
  pminuw 660f383aca 66450f383aca 660f383adb 660f383a4e40
  vpminuw c4e2693acb c462693a4e41 c4e2693adb c4c2353aca c4e26d3adb c4e2753a4e41
  pminud 660f383bca 66450f383bca 660f383bdb 660f383b4e40
  vpminud c4e2693bcb c462693b4e41 c4e2693bdb c4c2353bca c4e26d3bdb c4e2753b4e41
  pminsb 660f3838ca 66450f3838ca 660f3838db 660f38384e40
  vpminsb c4e26938cb c46269384e41 c4e26938db c4c23538ca c4e26d38db c4e275384e41
  pminsw 660feaca 66450feaca 660feadb 660fea4e40
  vpminsw c5e9eacb c569ea4e41 c5e9eadb c4c135eaca c5edeadb c5f5ea4e41
  pminsd 660f3839ca 66450f3839ca 660f3839db 660f38394e40
  vpminsd c4e26939cb c46269394e41 c4e26939db c4c23539ca c4e26d39db c4e275394e41
  pmaxub 660fdeca 66450fdeca 660fdedb 660fde4e40
  vpmaxub c5e9decb c569de4e41 c5e9dedb c4c135deca c5eddedb c5f5de4e41
  pmaxuw 660f383eca 66450f383eca 660f383edb 660f383e4e40
  vpmaxuw c4e2693ecb c462693e4e41 c4e2693edb c4c2353eca c4e26d3edb c4e2753e4e41
  pmaxud 660f383fca 66450f383fca 660f383fdb 660f383f4e40
  vpmaxud c4e2693fcb c462693f4e41 c4e2693fdb c4c2353fca c4e26d3fdb c4e2753f4e41
  pmaxsb 660f383cca 66450f383cca 660f383cdb 660f383c4e40
  vpmaxsb c4e2693ccb c462693c4e41 c4e2693cdb c4c2353cca c4e26d3cdb c4e2753c4e41
  pmaxsw 660feeca 66450feeca 660feedb 660fee4e40
  vpmaxsw c5e9eecb c569ee4e41 c5e9eedb c4c135eeca c5edeedb c5f5ee4e41
  pmaxsd 660f383dca 66450f383dca 660f383ddb 660f383d4e40
  vpmaxsd c4e2693dcb c462693d4e41 c4e2693ddb c4c2353dca c4e26d3ddb c4e2753d4e41
  pcmpeqb 660f74ca 66450f74ca 660f74db 660f744e40
  vpcmpeqb c5e974cb c569744e41 c5e974db c4c13574ca c5ed74db c5f5744e41
  pcmpeqw 660f75ca 66450f75ca 660f75db 660f754e40
  vpcmpeqw c5e975cb c569754e41 c5e975db c4c13575ca c5ed75db c5f5754e41
  pcmpeqd 660f76ca 66450f76ca 660f76db 660f764e40
  vpcmpeqd c5e976cb c569764e41 c5e976db c4c13576ca c5ed76db c5f5764e41
  pcmpeqq 660f3829ca 66450f3829ca 660f3829db 660f38294e40
  vpcmpeqq c4e26929cb c46269294e41 c4e26929db c4c23529ca c4e26d29db c4e275294e41
  pcmpgtb 660f64ca 66450f64ca 660f64db 660f644e40
  vpcmpgtb c5e964cb c569644e41 c5e964db c4c13564ca c5ed64db c5f5644e41
  pcmpgtw 660f65ca 66450f65ca 660f65db 660f654e40
  vpcmpgtw c5e965cb c569654e41 c5e965db c4c13565ca c5ed65db c5f5654e41
  pcmpgtd 660f66ca 66450f66ca 660f66db 660f664e40
  vpcmpgtd c5e966cb c569664e41 c5e966db c4c13566ca c5ed66db c5f5664e41
  pcmpgtq 660f3837ca 66450f3837ca 660f3837db 660f38374e40
  vpcmpgtq c4e26937cb c46269374e41 c4e26937db c4c23537ca c4e26d37db c4e275374e41
  pmullw 660fd5ca 66450fd5ca 660fd5db 660fd54e40
  vpmullw c5e9d5cb c569d54e41 c5e9d5db c4c135d5ca c5edd5db c5f5d54e41
  pmulld 660f3840ca 66450f3840ca 660f3840db 660f38404e40
  vpmulld c4e26940cb c46269404e41 c4e26940db c4c23540ca c4e26d40db c4e275404e41
  pmulhw 660fe5ca 66450fe5ca 660fe5db 660fe54e40
  vpmulhw c5e9e5cb c569e54e41 c5e9e5db c4c135e5ca c5ede5db c5f5e54e41
  pmulhuw 660fe4ca 66450fe4ca 660fe4db 660fe44e40
  vpmulhuw c5e9e4cb c569e44e41 c5e9e4db c4c135e4ca c5ede4db c5f5e44e41
  pmulhrsw 660f380bca 66450f380bca 660f380bdb 660f380b4e40
  vpmulhrsw c4e2690bcb c462690b4e41 c4e2690bdb c4c2350bca c4e26d0bdb c4e2750b4e41
  pmuludq 660ff4ca 66450ff4ca 660ff4db 660ff44e40
  vpmuludq c5e9f4cb c569f44e41 c5e9f4db c4c135f4ca c5edf4db c5f5f44e41
  pmuldq 660f3828ca 66450f3828ca 660f3828db 660f38284e40
  vpmuldq c4e26928cb c46269284e41 c4e26928db c4c23528ca c4e26d28db c4e275284e41
  pmaddwd 660ff5ca 66450ff5ca 660ff5db 660ff54e40
  vpmaddwd c5e9f5cb c569f54e41 c5e9f5db c4c135f5ca c5edf5db c5f5f54e41
  pmaddubsw 660f3804ca 66450f3804ca 660f3804db 660f38044e40
  vpmaddubsw c4e26904cb c46269044e41 c4e26904db c4c23504ca c4e26d04db c4e275044e41
  psadbw 660ff6ca 66450ff6ca 660ff6db 660ff64e40
  vpsadbw c5e9f6cb c569f64e41 c5e9f6db c4c135f6ca c5edf6db c5f5f64e41
  psignb 660f3808ca 66450f3808ca 660f3808db 660f38084e40
  vpsignb c4e26908cb c46269084e41 c4e26908db c4c23508ca c4e26d08db c4e275084e41
  psignw 660f3809ca 66450f3809ca 660f3809db 660f38094e40
  vpsignw c4e26909cb c46269094e41 c4e26909db c4c23509ca c4e26d09db c4e275094e41
  psignd 660f380aca 66450f380aca 660f380adb 660f380a4e40
  vpsignd c4e2690acb c462690a4e41 c4e2690adb c4c2350aca c4e26d0adb c4e2750a4e41
  phaddw 660f3801ca 66450f3801ca 660f3801db 660f38014e40
  vphaddw c4e26901cb c46269014e41 c4e26901db c4c23501ca c4e26d01db c4e275014e41
  phaddd 660f3802ca 66450f3802ca 660f3802db 660f38024e40
  vphaddd c4e26902cb c46269024e41 c4e26902db c4c23502ca c4e26d02db c4e275024e41
  phsubw 660f3805ca 66450f3805ca 660f3805db 660f38054e40
  vphsubw c4e26905cb c46269054e41 c4e26905db c4c23505ca c4e26d05db c4e275054e41
  phsubd 660f3806ca 66450f3806ca 660f3806db 660f38064e40
  vphsubd c4e26906cb c46269064e41 c4e26906db c4c23506ca c4e26d06db c4e275064e41
  phaddsw 660f3803ca 66450f3803ca 660f3803db 660f38034e40
  vphaddsw c4e26903cb c46269034e41 c4e26903db c4c23503ca c4e26d03db c4e275034e41
  phsubsw 660f3807ca 66450f3807ca 660f3807db 660f38074e40
  vphsubsw c4e26907cb c46269074e41 c4e26907db c4c23507ca c4e26d07db c4e275074e41
  punpcklbw 660f60ca 66450f60ca 660f60db 660f604e40
  vpunpcklbw c5e960cb c569604e41 c5e960db c4c13560ca c5ed60db c5f5604e41
  punpcklwd 660f61ca 66450f61ca 660f61db 660f614e40
  vpunpcklwd c5e961cb c569614e41 c5e961db c4c13561ca c5ed61db c5f5614e41
  punpckhbw 660f68ca 66450f68ca 660f68db 660f684e40
  vpunpckhbw c5e968cb c569684e41 c5e968db c4c13568ca c5ed68db c5f5684e41
  punpckhwd 660f69ca 66450f69ca 660f69db 660f694e40
  vpunpckhwd c5e969cb c569694e41 c5e969db c4c13569ca c5ed69db c5f5694e41
  punpckldq 660f62ca 66450f62ca 660f62db 660f624e40
  vpunpckldq c5e962cb c569624e41 c5e962db c4c13562ca c5ed62db c5f5624e41
  punpckhdq 660f6aca 66450f6aca 660f6adb 660f6a4e40
  vpunpckhdq c5e96acb c5696a4e41 c5e96adb c4c1356aca c5ed6adb c5f56a4e41
  punpcklqdq 660f6cca 66450f6cca 660f6cdb 660f6c4e40
  vpunpcklqdq c5e96ccb c5696c4e41 c5e96cdb c4c1356cca c5ed6cdb c5f56c4e41
  punpckhqdq 660f6dca 66450f6dca 660f6ddb 660f6d4e40
  vpunpckhqdq c5e96dcb c5696d4e41 c5e96ddb c4c1356dca c5ed6ddb c5f56d4e41
  unpcklps 0f14ca 450f14ca 0f14db 0f144e40
  vunpcklps c5e814cb c568144e41 c5e814db c4c13414ca c5ec14db c5f4144e41
  unpckhps 0f15ca 450f15ca 0f15db 0f154e40
  vunpckhps c5e815cb c568154e41 c5e815db c4c13415ca c5ec15db c5f4154e41
  unpcklpd 660f14ca 66450f14ca 660f14db 660f144e40
  vunpcklpd c5e914cb c569144e41 c5e914db c4c13514ca c5ed14db c5f5144e41
  unpckhpd 660f15ca 66450f15ca 660f15db 660f154e40
  vunpckhpd c5e915cb c569154e41 c5e915db c4c13515ca c5ed15db c5f5154e41
  packsswb 660f63ca 66450f63ca 660f63db 660f634e40
  vpacksswb c5e963cb c569634e41 c5e963db c4c13563ca c5ed63db c5f5634e41
  packssdw 660f6bca 66450f6bca 660f6bdb 660f6b4e40
  vpackssdw c5e96bcb c5696b4e41 c5e96bdb c4c1356bca c5ed6bdb c5f56b4e41
  packuswb 660f67ca 66450f67ca 660f67db 660f674e40
  vpackuswb c5e967cb c569674e41 c5e967db c4c13567ca c5ed67db c5f5674e41
  packusdw 660f382bca 66450f382bca 660f382bdb 660f382b4e40
  vpackusdw c4e2692bcb c462692b4e41 c4e2692bdb c4c2352bca c4e26d2bdb c4e2752b4e41
  pshufb 660f3800ca 66450f3800ca 660f3800db 660f38004e40
  vpshufb c4e26900cb c46269004e41 c4e26900db c4c23500ca c4e26d00db c4e275004e41
  pabsb 660f381cca 66450f381cca 660f381cdb 660f381c4e40
  vpabsb c4e2791cca c462791c4e41 c4e2791cdb c4c27d1cca c4e27d1cdb c4e27d1c4e41
  pabsw 660f381dca 66450f381dca 660f381ddb 660f381d4e40
  vpabsw c4e2791dca c462791d4e41 c4e2791ddb c4c27d1dca c4e27d1ddb c4e27d1d4e41
  pabsd 660f381eca 66450f381eca 660f381edb 660f381e4e40
  vpabsd c4e2791eca c462791e4e41 c4e2791edb c4c27d1eca c4e27d1edb c4e27d1e4e41
  movshdup f30f16ca f3450f16ca f30f16db f30f164e40
  vmovshdup c5fa16ca c57a164e41 c5fa16db c4c17e16ca c5fe16db c5fe164e41
  movsldup f30f12ca f3450f12ca f30f12db f30f124e40
  vmovsldup c5fa12ca c57a124e41 c5fa12db c4c17e12ca c5fe12db c5fe124e41
  movddup f20f12ca f2450f12ca f20f12db f20f124e40
  vmovddup c5fb12ca c57b124e41 c5fb12db c4c17f12ca c5ff12db c5ff124e41
  pmovsxbw 660f3820ca 660f3820db 660f38204e43
  vpmovsxbw c4e27920ca c4e279204e43 c4c27d20cc c4e27d20db c4e27d204e43
  pmovzxbw 660f3830ca 660f3830db 660f38304e43
  vpmovzxbw c4e27930ca c4e279304e43 c4c27d30cc c4e27d30db c4e27d304e43
  pmovsxbd 660f3821ca 660f3821db 660f38214e43
  vpmovsxbd c4e27921ca c4e279214e43 c4c27d21cc c4e27d21db c4e27d214e43
  pmovzxbd 660f3831ca 660f3831db 660f38314e43
  vpmovzxbd c4e27931ca c4e279314e43 c4c27d31cc c4e27d31db c4e27d314e43
  pmovsxbq 660f3822ca 660f3822db 660f38224e43
  vpmovsxbq c4e27922ca c4e279224e43 c4c27d22cc c4e27d22db c4e27d224e43
  pmovzxbq 660f3832ca 660f3832db 660f38324e43
  vpmovzxbq c4e27932ca c4e279324e43 c4c27d32cc c4e27d32db c4e27d324e43
  pmovsxwd 660f3823ca 660f3823db 660f38234e43
  vpmovsxwd c4e27923ca c4e279234e43 c4c27d23cc c4e27d23db c4e27d234e43
  pmovzxwd 660f3833ca 660f3833db 660f38334e43
  vpmovzxwd c4e27933ca c4e279334e43 c4c27d33cc c4e27d33db c4e27d334e43
  pmovsxwq 660f3824ca 660f3824db 660f38244e43
  vpmovsxwq c4e27924ca c4e279244e43 c4c27d24cc c4e27d24db c4e27d244e43
  pmovzxwq 660f3834ca 660f3834db 660f38344e43
  vpmovzxwq c4e27934ca c4e279344e43 c4c27d34cc c4e27d34db c4e27d344e43
  pmovsxdq 660f3825ca 660f3825db 660f38254e43
  vpmovsxdq c4e27925ca c4e279254e43 c4c27d25cc c4e27d25db c4e27d254e43
  pmovzxdq 660f3835ca 660f3835db 660f38354e43
  vpmovzxdq c4e27935ca c4e279354e43 c4c27d35cc c4e27d35db c4e27d354e43
  pshufd 660f70ca/00,1b,93,e4 66450f70ca/00,1b,93,e4 660f70db/00,1b,93,e4 660f704e40/00,1b,93,e4
  vpshufd c5f970ca/00,1b,93,e4 c579704e41/00,1b,93,e4 c5f970db/00,1b,93,e4 c4c17d70ca/00,1b,93,e4 c5fd70db/00,1b,93,e4
  vpshufd c5fd704e41/00,1b,93,e4
  pshuflw f20f70ca/00,1b,93,e4 f2450f70ca/00,1b,93,e4 f20f70db/00,1b,93,e4 f20f704e40/00,1b,93,e4
  vpshuflw c5fb70ca/00,1b,93,e4 c57b704e41/00,1b,93,e4 c5fb70db/00,1b,93,e4 c4c17f70ca/00,1b,93,e4 c5ff70db/00,1b,93,e4
  vpshuflw c5ff704e41/00,1b,93,e4
  pshufhw f30f70ca/00,1b,93,e4 f3450f70ca/00,1b,93,e4 f30f70db/00,1b,93,e4 f30f704e40/00,1b,93,e4
  vpshufhw c5fa70ca/00,1b,93,e4 c57a704e41/00,1b,93,e4 c5fa70db/00,1b,93,e4 c4c17e70ca/00,1b,93,e4 c5fe70db/00,1b,93,e4
  vpshufhw c5fe704e41/00,1b,93,e4
  shufps 0fc6ca/00,1b,93,e4 450fc6ca/00,1b,93,e4 0fc6db/00,1b,93,e4 0fc64e40/00,1b,93,e4
  vshufps c5e8c6cb/00,1b,93,e4 c568c64e41/00,1b,93,e4 c5e8c6db/00,1b,93,e4 c4c134c6ca/00,1b,93,e4 c5ecc6db/00,1b,93,e4
  vshufps c5f4c64e41/00,1b,93,e4
  shufpd 660fc6ca/00-03,06,09,0f 66450fc6ca/00-03,06,09,0f 660fc6db/00-03,06,09,0f 660fc64e40/00-03,06,09,0f
  vshufpd c5e9c6cb/00-03,06,09,0f c569c64e41/00-03,06,09,0f c5e9c6db/00-03,06,09,0f c4c135c6ca/00-03,06,09,0f c5edc6db/00-03,06,09,0f
  vshufpd c5f5c64e41/00-03,06,09,0f
  palignr 660f3a0fca/00-01,05,08-09,0f-11,18,1f-21,c8 66450f3a0fca/00-01,05,08-09,0f-11,18,1f-21,c8
  palignr 660f3a0fdb/00-01,05,08-09,0f-11,18,1f-21,c8 660f3a0f4e40/00-01,05,08-09,0f-11,18,1f-21,c8
  vpalignr c4e3690fcb/00-01,05,08-09,0f-11,18,1f-21,c8 c463690f4e41/00-01,05,08-09,0f-11,18,1f-21,c8
  vpalignr c4e3690fdb/00-01,05,08-09,0f-11,18,1f-21,c8 c4c3350fca/00-01,05,08-09,0f-11,18,1f-21,c8
  vpalignr c4e36d0fdb/00-01,05,08-09,0f-11,18,1f-21,c8 c4e3750f4e41/00-01,05,08-09,0f-11,18,1f-21,c8
  pblendw 660f3a0eca/00,5a,c3,ff 66450f3a0eca/00,5a,c3,ff 660f3a0edb/00,5a,c3,ff 660f3a0e4e40/00,5a,c3,ff
  vpblendw c4e3690ecb/00,5a,c3,ff c463690e4e41/00,5a,c3,ff c4e3690edb/00,5a,c3,ff c4c3350eca/00,5a,c3,ff c4e36d0edb/00,5a,c3,ff
  vpblendw c4e3750e4e41/00,5a,c3,ff
  blendps 660f3a0cca/00,05,0a,a7,ff 66450f3a0cca/00,05,0a,a7,ff 660f3a0cdb/00,05,0a,a7,ff 660f3a0c4e40/00,05,0a,a7,ff
  vblendps c4e3690ccb/00,05,0a,a7,ff c463690c4e41/00,05,0a,a7,ff c4e3690cdb/00,05,0a,a7,ff c4c3350cca/00,05,0a,a7,ff
  vblendps c4e36d0cdb/00,05,0a,a7,ff c4e3750c4e41/00,05,0a,a7,ff
  blendpd 660f3a0dca/00-02,06,09,0f 66450f3a0dca/00-02,06,09,0f 660f3a0ddb/00-02,06,09,0f 660f3a0d4e40/00-02,06,09,0f
  vblendpd c4e3690dcb/00-02,06,09,0f c463690d4e41/00-02,06,09,0f c4e3690ddb/00-02,06,09,0f c4c3350dca/00-02,06,09,0f
  vblendpd c4e36d0ddb/00-02,06,09,0f c4e3750d4e41/00-02,06,09,0f
  vpblendd c4e36902cb/00,5a,c3,ff c46369024e41/00,5a,c3,ff c4e36902db/00,5a,c3,ff c4c33502ca/00,5a,c3,ff c4e36d02db/00,5a,c3,ff
  vpblendd c4e375024e41/00,5a,c3,ff
  mpsadbw 660f3a42ca/00-07,15,2a,3f 66450f3a42ca/00-07,15,2a,3f 660f3a42db/00-07,15,2a,3f 660f3a424e40/00-07,15,2a,3f
  vmpsadbw c4e36942cb/00-07,15,2a,3f c46369424e41/00-07,15,2a,3f c4e36942db/00-07,15,2a,3f c4c33542ca/00-07,15,2a,3f
  vmpsadbw c4e36d42db/00-07,15,2a,3f c4e375424e41/00-07,15,2a,3f
  insertps 660f3a21ca/00,5a,91,c3,ff 66450f3a21ca/00,5a,91,c3,ff 660f3a21db/00,5a,91,c3,ff 660f3a214e40/00,5a,91,c3,ff
  vinsertps c4e36921cb/00,5a,91,c3,ff c46369214e41/00,5a,91,c3,ff c4e36921db/00,5a,91,c3,ff
  pinsrb 660f3a20c9/00-01,03,07,0f,16 660f3a204e43/00-01,03,07,0f,16
  vpinsrb c4e36920c9/00-01,03,07,0f,16 c46369204e43/00-01,03,07,0f,16
  pextrb 660f3a14c9/00-01,03,07,0f,16 660f3a144e43/00-01,03,07,0f,16
  vpextrb c4637914c9/00-01,03,07,0f,16 c4e379144e43/00-01,03,07,0f,16
  pinsrw 660fc4c9/00-01,03,07,0f,16 660fc44e43/00-01,03,07,0f,16
  vpinsrw c5e9c4c9/00-01,03,07,0f,16 c569c44e43/00-01,03,07,0f,16
  pextrw 660fc5c9/00-01,03,07,0f,16 660f3a154e43/00-01,03,07,0f,16
  vpextrw c4c179c5c9/00-01,03,07,0f,16 c4e379154e43/00-01,03,07,0f,16
  pinsrd 660f3a22c9/00-01,03,07,0f,16 660f3a224e43/00-01,03,07,0f,16
  vpinsrd c4e36922c9/00-01,03,07,0f,16 c46369224e43/00-01,03,07,0f,16
  pextrd 660f3a16c9/00-01,03,07,0f,16 660f3a164e43/00-01,03,07,0f,16
  vpextrd c4637916c9/00-01,03,07,0f,16 c4e379164e43/00-01,03,07,0f,16
  pinsrq 66480f3a22c9/00-01,03,07,0f,16 66480f3a224e43/00-01,03,07,0f,16
  vpinsrq c4e3e922c9/00-01,03,07,0f,16 c463e9224e43/00-01,03,07,0f,16
  pextrq 66480f3a16c9/00-01,03,07,0f,16 66480f3a164e43/00-01,03,07,0f,16
  vpextrq c463f916c9/00-01,03,07,0f,16 c4e3f9164e43/00-01,03,07,0f,16
  extractps 660f3a17c9/00-03,07 660f3a174e43/00-03,07
  vextractps c4e37917c9/00-03,07 c4e379174e43/00-03,07
  psllw 660ff1ca 660ff1db 660ff14e40 660f71f1/00-01,07,0f-10,1f-20,3f-40,ff
  vpsllw c5e9f1cb c5e9f14e41 c5edf1cb c5edf1db c5edf14e41 c5f171f2/00-01,07,0f-10,1f-20,3f-40,ff c5f571f2/00-01,07,0f-10,1f-20,3f-40,ff
  pslld 660ff2ca 660ff2db 660ff24e40 660f72f1/00-01,07,0f-10,1f-20,3f-40,ff
  vpslld c5e9f2cb c5e9f24e41 c5edf2cb c5edf2db c5edf24e41 c5f172f2/00-01,07,0f-10,1f-20,3f-40,ff c5f572f2/00-01,07,0f-10,1f-20,3f-40,ff
  psllq 660ff3ca 660ff3db 660ff34e40 660f73f1/00-01,07,0f-10,1f-20,3f-40,ff
  vpsllq c5e9f3cb c5e9f34e41 c5edf3cb c5edf3db c5edf34e41 c5f173f2/00-01,07,0f-10,1f-20,3f-40,ff c5f573f2/00-01,07,0f-10,1f-20,3f-40,ff
  psrlw 660fd1ca 660fd1db 660fd14e40 660f71d1/00-01,07,0f-10,1f-20,3f-40,ff
  vpsrlw c5e9d1cb c5e9d14e41 c5edd1cb c5edd1db c5edd14e41 c5f171d2/00-01,07,0f-10,1f-20,3f-40,ff c5f571d2/00-01,07,0f-10,1f-20,3f-40,ff
  psrld 660fd2ca 660fd2db 660fd24e40 660f72d1/00-01,07,0f-10,1f-20,3f-40,ff
  vpsrld c5e9d2cb c5e9d24e41 c5edd2cb c5edd2db c5edd24e41 c5f172d2/00-01,07,0f-10,1f-20,3f-40,ff c5f572d2/00-01,07,0f-10,1f-20,3f-40,ff
  psrlq 660fd3ca 660fd3db 660fd34e40 660f73d1/00-01,07,0f-10,1f-20,3f-40,ff
  vpsrlq c5e9d3cb c5e9d34e41 c5edd3cb c5edd3db c5edd34e41 c5f173d2/00-01,07,0f-10,1f-20,3f-40,ff c5f573d2/00-01,07,0f-10,1f-20,3f-40,ff
  psraw 660fe1ca 660fe1db 660fe14e40 660f71e1/00-01,07,0f-10,1f-20,3f-40,ff
  vpsraw c5e9e1cb c5e9e14e41 c5ede1cb c5ede1db c5ede14e41 c5f171e2/00-01,07,0f-10,1f-20,3f-40,ff c5f571e2/00-01,07,0f-10,1f-20,3f-40,ff
  psrad 660fe2ca 660fe2db 660fe24e40 660f72e1/00-01,07,0f-10,1f-20,3f-40,ff
  vpsrad c5e9e2cb c5e9e24e41 c5ede2cb c5ede2db c5ede24e41 c5f172e2/00-01,07,0f-10,1f-20,3f-40,ff c5f572e2/00-01,07,0f-10,1f-20,3f-40,ff
  pslldq 660f73f9/00-01,05,07-09,0f-11,ff
  vpslldq c5f173fa/00-01,05,07-09,0f-11,ff c5f573fa/00-01,05,07-09,0f-11,ff
  psrldq 660f73d9/00-01,05,07-09,0f-11,ff
  vpsrldq c5f173da/00-01,05,07-09,0f-11,ff c5f573da/00-01,05,07-09,0f-11,ff
  vpsllvd c4e26947cb c46269474e41 c4e26947db c4c23547ca c4e26d47db c4e275474e41
  vpsllvq c4e2e947cb c462e9474e41 c4e2e947db c4c2b547ca c4e2ed47db c4e2f5474e41
  vpsrlvd c4e26945cb c46269454e41 c4e26945db c4c23545ca c4e26d45db c4e275454e41
  vpsrlvq c4e2e945cb c462e9454e41 c4e2e945db c4c2b545ca c4e2ed45db c4e2f5454e41
  vpsravd c4e26946cb c46269464e41 c4e26946db c4c23546ca c4e26d46db c4e275464e41
  vpermilps c4e2690ccb c462690c4e41 c4e2690cdb c4c2350cca c4e26d0cdb c4e2750c4e41 c4e37904ca/00,05,0a,1b,e4 c46379044e41/00,05,0a,1b,e4
  vpermilps c4e37904db/00,05,0a,1b,e4 c4c37d04ca/00,05,0a,1b,e4 c4e37d04db/00,05,0a,1b,e4 c4e37d044e41/00,05,0a,1b,e4
  vpermilpd c4e2690dcb c462690d4e41 c4e2690ddb c4c2350dca c4e26d0ddb c4e2750d4e41 c4e37905ca/00,05,0a,1b,e4 c46379054e41/00,05,0a,1b,e4
  vpermilpd c4e37905db/00,05,0a,1b,e4 c4c37d05ca/00,05,0a,1b,e4 c4e37d05db/00,05,0a,1b,e4 c4e37d054e41/00,05,0a,1b,e4
  vpermd c4e26d36cb c4e26d36db c4e26d364e41
  vpermps c4e26d16cb c4e26d16db c4e26d164e41
  vpermq c4e3fd00ca/00,1b,93,e4 c4e3fd00db/00,1b,93,e4 c4e3fd004e41/00,1b,93,e4
  vpermpd c4e3fd01ca/00,1b,93,e4 c4e3fd01db/00,1b,93,e4 c4e3fd014e41/00,1b,93,e4
  vperm2f128 c4e36d06cb/00-03,08,13,20,31,80,88 c4e36d06db/00-03,08,13,20,31,80,88 c4e36d064e41/00-03,08,13,20,31,80,88
  vperm2i128 c4e36d46cb/00-03,08,13,20,31,80,88 c4e36d46db/00-03,08,13,20,31,80,88 c4e36d464e41/00-03,08,13,20,31,80,88
  vinsertf128 c4e36d18cb/00-02 c4e36d18db/00-02 c4e36d184e41/00-02
  vinserti128 c4e36d38cb/00-02 c4e36d38db/00-02 c4e36d384e41/00-02
  vextractf128 c4e37d19d1/00-01,03 c4e37d19db/00-01,03 c4e37d195641/00-01,03
  vextracti128 c4e37d39d1/00-01,03 c4e37d39db/00-01,03 c4e37d395641/00-01,03
  vpbroadcastb c4e27978ca c4e27d78ca c4e27d78db c4e279784e43 c4e27d784e43
  vpbroadcastw c4e27979ca c4e27d79ca c4e27d79db c4e279794e43 c4e27d794e43
  vpbroadcastd c4e27958ca c4e27d58ca c4e27d58db c4e279584e43 c4e27d584e43
  vpbroadcastq c4e27959ca c4e27d59ca c4e27d59db c4e279594e43 c4e27d594e43
  vbroadcastss c4e27918ca c4e27d18ca c4e27d18db c4e279184e43 c4e27d184e43
  vbroadcastsd c4e27d19ca c4e27d194e43
  vbroadcastf128 c4e27d1a4e43
  vbroadcasti128 c4e27d5a4e43
  pblendvb 660f3810ca 660f38104e40 660f3810c2
  vpblendvb c4e3694ccb40 c4e36d4ccb40 c4e36d4ce340 c4e36d4c4e4140 c4e3694c4e4140
  blendvps 660f3814ca 660f38144e40 660f3814c2
  vblendvps c4e3694acb40 c4e36d4acb40 c4e36d4ae340 c4e36d4a4e4140 c4e3694a4e4140
  blendvpd 660f3815ca 660f38154e40 660f3815c2
  vblendvpd c4e3694bcb40 c4e36d4bcb40 c4e36d4be340 c4e36d4b4e4140 c4e3694b4e4140
  pmovmskb 660fd7ca 66410fd7c4
  vpmovmskb c5f9d7ca c5fdd7ca
  movmskps 0f50ca 410f50c4
  vmovmskps c5f850ca c5fc50ca
  movmskpd 660f50ca 66410f50c4
  vmovmskpd c5f950ca c5fd50ca
  movups 0f10ca 0f104e43 0f114e43
  vmovups c5f810ca c5fc10ca c5fc104e43 c5f8104e43 c5fc114e43 c5f8114e43
  movupd 660f10ca 660f104e43 660f114e43
  vmovupd c5f910ca c5fd10ca c5fd104e43 c5f9104e43 c5fd114e43 c5f9114e43
  movdqu f30f6fca f30f6f4e43 f30f7f4e43
  vmovdqu c5fa6fca c5fe6fca c5fe6f4e43 c5fa6f4e43 c5fe7f4e43 c5fa7f4e43
  movaps 0f28ca 0f284e40 0f294e40
  vmovaps c5f828ca c5fc28ca c5fc284e40 c5f8284e40 c5fc294e40 c5f8294e40
  movapd 660f28ca 660f284e40 660f294e40
  vmovapd c5f928ca c5fd28ca c5fd284e40 c5f9284e40 c5fd294e40 c5f9294e40
  movdqa 660f6fca 660f6f4e40 660f7f4e40
  vmovdqa c5f96fca c5fd6fca c5fd6f4e40 c5f96f4e40 c5fd7f4e40 c5f97f4e40
  movntps 0f2b4e40
  vmovntps c5f82b4e40 c5fc2b4e40
  movntpd 660f2b4e40
  vmovntpd c5f92b4e40 c5fd2b4e40
  movntdq 660fe74e40
  vmovntdq c5f9e74e40 c5fde74e40
  movntdqa 660f382a4e40
  vmovntdqa c4e2792a4e40 c4e27d2a4e40
  lddqu f20ff04e43
  vlddqu c5fbf04e43 c5fff04e43
  movnti 0fc34e43 480fc34e43
  movss f30f10ca f30f104e43 f30f114e43
  vmovss c5ea10cb c5ea10db c5fa104e43 c5fa114e43
  movsd f20f10ca f20f104e43 f20f114e43
  vmovsd c5eb10cb c5eb10db c5fb104e43 c5fb114e43
  movd 660f6ec9 660f7ec9 660f6ec8 660f7ec8 660f6e4e43 660f7e4e43
  movq 66480f6ec9 66480f7ec9 66480f6ec8 66480f7ec8 f30f7e4e43 660fd64e43 f30f7eca f3450f7ec9
  vmovd c5f96ec9 c5f97ec9 c5f96ec8 c5f97ec8 c5f96e4e43 c5f97e4e43
  vmovq c4e1f96ec9 c4e1f97ec9 c4e1f96ec8 c4e1f97ec8 c5fa7e4e43 c5f9d64e43 c5fa7eca c4417a7ec9
  movlps 0f124e43 0f134e43
  vmovlps c5e8124e43 c5f8134e43
  movlpd 660f124e43 660f134e43
  vmovlpd c5e9124e43 c5f9134e43
  movhps 0f164e43 0f174e43
  vmovhps c5e8164e43 c5f8174e43
  movhpd 660f164e43 660f174e43
  vmovhpd c5e9164e43 c5f9174e43
  movhlps 0f12ca 0f12c9
  vmovhlps c5e812cb c5e812db
  movlhps 0f16ca 0f16c9
  vmovlhps c5e816cb c5e816db
  vzeroupper c5f877
  vzeroall c5fc77
  stmxcsr 0fae5e43
  vstmxcsr c5f8ae5e43
  ptest 660f3817ca 660f38174e40
  vptest c4e27917ca c4e279174e41 c4e27d17ca c4e27d174e41 c4e27d17d2
  vtestps c4e2790eca c4e2790e4e41 c4e27d0eca c4e27d0e4e41 c4e27d0ed2
  vtestpd c4e2790fca c4e2790f4e41 c4e27d0fca c4e27d0f4e41 c4e27d0fd2
  pcmpestri 660f3a61ca/00-7f 660f3a614e43/00,10,20,30,40,50,60,70 66450f3a61c9/08,18,28,38,48,58,68,78
  vpcmpestri c4e37961ca/00,10,20,30,40,50,60,70 c4e379614e43/00,10,20,30,40,50,60,70
  pcmpestrm 660f3a60ca/00-7f 660f3a604e43/00,10,20,30,40,50,60,70 66450f3a60c9/08,18,28,38,48,58,68,78
  vpcmpestrm c4e37960ca/00,10,20,30,40,50,60,70 c4e379604e43/00,10,20,30,40,50,60,70
  pcmpistri 660f3a63ca/00-7f 660f3a634e43/00,10,20,30,40,50,60,70 66450f3a63c9/08,18,28,38,48,58,68,78
  vpcmpistri c4e37963ca/00,10,20,30,40,50,60,70 c4e379634e43/00,10,20,30,40,50,60,70
  pcmpistrm 660f3a62ca/00-7f 660f3a624e43/00,10,20,30,40,50,60,70 66450f3a62c9/08,18,28,38,48,58,68,78
  vpcmpistrm c4e37962ca/00,10,20,30,40,50,60,70 c4e379624e43/00,10,20,30,40,50,60,70
  aesenc 660f38dcca 66450f38dcca 660f38dcdb 660f38dc4e40
  vaesenc c4e269dccb c46269dc4e41 c4e269dcdb
  aesenclast 660f38ddca 66450f38ddca 660f38dddb 660f38dd4e40
  vaesenclast c4e269ddcb c46269dd4e41 c4e269dddb
  aesdec 660f38deca 66450f38deca 660f38dedb 660f38de4e40
  vaesdec c4e269decb c46269de4e41 c4e269dedb
  aesdeclast 660f38dfca 66450f38dfca 660f38dfdb 660f38df4e40
  vaesdeclast c4e269dfcb c46269df4e41 c4e269dfdb
  aesimc 660f38dbca 66450f38dbca 660f38dbdb 660f38db4e40
  vaesimc c4e279dbca c46279db4e41 c4e279dbdb
  aeskeygenassist 660f3adfca/00-01,80,ff 66450f3adfca/00-01,80,ff 660f3adfdb/00-01,80,ff 660f3adf4e40/00-01,80,ff
  vaeskeygenassist c4e379dfca/00-01,80,ff c46379df4e41/00-01,80,ff c4e379dfdb/00-01,80,ff
  pclmulqdq 660f3a44ca/00-01,10-11,ff 66450f3a44ca/00-01,10-11,ff 660f3a44db/00-01,10-11,ff 660f3a444e40/00-01,10-11,ff
  vpclmulqdq c4e36944cb/00-01,10-11,ff c46369444e41/00-01,10-11,ff c4e36944db/00-01,10-11,ff
  sha1nexte 0f38c8ca 450f38c8ca 0f38c8db 0f38c84e40
  sha1msg1 0f38c9ca 450f38c9ca 0f38c9db 0f38c94e40
  sha1msg2 0f38caca 450f38caca 0f38cadb 0f38ca4e40
  sha256msg1 0f38ccca 450f38ccca 0f38ccdb 0f38cc4e40
  sha256msg2 0f38cdca 450f38cdca 0f38cddb 0f38cd4e40
  sha1rnds4 0f3accca/00-03 450f3accca/00-03 0f3accdb/00-03 0f3acc4e40/00-03
  sha256rnds2 0f38cbca 0f38cbc9 0f38cb4e40
  phminposuw 660f3841ca 66450f3841ca 660f3841db 660f38414e40
  vphminposuw c4e27941ca c46279414e41 c4e27941db
  vmaskmovps c4e2692c4e43 c4e26d2c4e43 c4e2692e4e43 c4e26d2e4e43
  vmaskmovpd c4e2692d4e43 c4e26d2d4e43 c4e2692f4e43 c4e26d2f4e43
  vpmaskmovd c4e2698c4e43 c4e26d8c4e43 c4e2698e4e43 c4e26d8e4e43
  vpmaskmovq c4e2e98c4e43 c4e2ed8c4e43 c4e2e98e4e43 c4e2ed8e4e43
  """
