// Instructions to compare with the host, floating-point operations: a name, then encodings in hexadecimal, each with the immediates it is
// tried with. Registers 0-4, 9, 10, 12 of a vector file, RAX, RCX, and [RSI + 64...].
let vectorFloatEncodings = """
  haddps f20f7cca f2450f7cca f20f7cdb f20f7c4e40
  vhaddps c5eb7ccb c56b7c4e41 c5eb7cdb c4c1377cca c5ef7cdb c5f77c4e41
  haddpd 660f7cca 66450f7cca 660f7cdb 660f7c4e40
  vhaddpd c5e97ccb c5697c4e41 c5e97cdb c4c1357cca c5ed7cdb c5f57c4e41
  hsubps f20f7dca f2450f7dca f20f7ddb f20f7d4e40
  vhsubps c5eb7dcb c56b7d4e41 c5eb7ddb c4c1377dca c5ef7ddb c5f77d4e41
  hsubpd 660f7dca 66450f7dca 660f7ddb 660f7d4e40
  vhsubpd c5e97dcb c5697d4e41 c5e97ddb c4c1357dca c5ed7ddb c5f57d4e41
  addsubps f20fd0ca f2450fd0ca f20fd0db f20fd04e40
  vaddsubps c5ebd0cb c56bd04e41 c5ebd0db c4c137d0ca c5efd0db c5f7d04e41
  addsubpd 660fd0ca 66450fd0ca 660fd0db 660fd04e40
  vaddsubpd c5e9d0cb c569d04e41 c5e9d0db c4c135d0ca c5edd0db c5f5d04e41
  addps 0f58ca 450f58ca 0f58db 0f584e40
  vaddps c5e858cb c568584e41 c5e858db c4c13458ca c5ec58db c5f4584e41
  addpd 660f58ca 66450f58ca 660f58db 660f584e40
  vaddpd c5e958cb c569584e41 c5e958db c4c13558ca c5ed58db c5f5584e41
  addss f30f58ca f3450f58ca f30f58db f30f584e40
  vaddss c5ea58cb c56a584e41 c5ea58db
  addsd f20f58ca f2450f58ca f20f58db f20f584e40
  vaddsd c5eb58cb c56b584e41 c5eb58db
  subps 0f5cca 450f5cca 0f5cdb 0f5c4e40
  vsubps c5e85ccb c5685c4e41 c5e85cdb c4c1345cca c5ec5cdb c5f45c4e41
  subpd 660f5cca 66450f5cca 660f5cdb 660f5c4e40
  vsubpd c5e95ccb c5695c4e41 c5e95cdb c4c1355cca c5ed5cdb c5f55c4e41
  subss f30f5cca f3450f5cca f30f5cdb f30f5c4e40
  vsubss c5ea5ccb c56a5c4e41 c5ea5cdb
  subsd f20f5cca f2450f5cca f20f5cdb f20f5c4e40
  vsubsd c5eb5ccb c56b5c4e41 c5eb5cdb
  mulps 0f59ca 450f59ca 0f59db 0f594e40
  vmulps c5e859cb c568594e41 c5e859db c4c13459ca c5ec59db c5f4594e41
  mulpd 660f59ca 66450f59ca 660f59db 660f594e40
  vmulpd c5e959cb c569594e41 c5e959db c4c13559ca c5ed59db c5f5594e41
  mulss f30f59ca f3450f59ca f30f59db f30f594e40
  vmulss c5ea59cb c56a594e41 c5ea59db
  mulsd f20f59ca f2450f59ca f20f59db f20f594e40
  vmulsd c5eb59cb c56b594e41 c5eb59db
  divps 0f5eca 450f5eca 0f5edb 0f5e4e40
  vdivps c5e85ecb c5685e4e41 c5e85edb c4c1345eca c5ec5edb c5f45e4e41
  divpd 660f5eca 66450f5eca 660f5edb 660f5e4e40
  vdivpd c5e95ecb c5695e4e41 c5e95edb c4c1355eca c5ed5edb c5f55e4e41
  divss f30f5eca f3450f5eca f30f5edb f30f5e4e40
  vdivss c5ea5ecb c56a5e4e41 c5ea5edb
  divsd f20f5eca f2450f5eca f20f5edb f20f5e4e40
  vdivsd c5eb5ecb c56b5e4e41 c5eb5edb
  minps 0f5dca 450f5dca 0f5ddb 0f5d4e40
  vminps c5e85dcb c5685d4e41 c5e85ddb c4c1345dca c5ec5ddb c5f45d4e41
  minpd 660f5dca 66450f5dca 660f5ddb 660f5d4e40
  vminpd c5e95dcb c5695d4e41 c5e95ddb c4c1355dca c5ed5ddb c5f55d4e41
  minss f30f5dca f3450f5dca f30f5ddb f30f5d4e40
  vminss c5ea5dcb c56a5d4e41 c5ea5ddb
  minsd f20f5dca f2450f5dca f20f5ddb f20f5d4e40
  vminsd c5eb5dcb c56b5d4e41 c5eb5ddb
  maxps 0f5fca 450f5fca 0f5fdb 0f5f4e40
  vmaxps c5e85fcb c5685f4e41 c5e85fdb c4c1345fca c5ec5fdb c5f45f4e41
  maxpd 660f5fca 66450f5fca 660f5fdb 660f5f4e40
  vmaxpd c5e95fcb c5695f4e41 c5e95fdb c4c1355fca c5ed5fdb c5f55f4e41
  maxss f30f5fca f3450f5fca f30f5fdb f30f5f4e40
  vmaxss c5ea5fcb c56a5f4e41 c5ea5fdb
  maxsd f20f5fca f2450f5fca f20f5fdb f20f5f4e40
  vmaxsd c5eb5fcb c56b5f4e41 c5eb5fdb
  sqrtps 0f51ca 450f51ca 0f51db 0f514e40
  vsqrtps c5f851ca c578514e41 c5f851db c4c17c51ca c5fc51db c5fc514e41
  sqrtpd 660f51ca 66450f51ca 660f51db 660f514e40
  vsqrtpd c5f951ca c579514e41 c5f951db c4c17d51ca c5fd51db c5fd514e41
  sqrtss f30f51ca f3450f51ca f30f51db f30f514e40
  vsqrtss c5ea51cb c56a514e41 c5ea51db
  sqrtsd f20f51ca f2450f51ca f20f51db f20f514e40
  vsqrtsd c5eb51cb c56b514e41 c5eb51db
  cvtss2sd f30f5aca f3450f5aca f30f5adb f30f5a4e40
  vcvtss2sd c5ea5acb c56a5a4e41 c5ea5adb
  cvtsd2ss f20f5aca f2450f5aca f20f5adb f20f5a4e40
  vcvtsd2ss c5eb5acb c56b5a4e41 c5eb5adb
  cvtdq2ps 0f5bca 450f5bca 0f5bdb 0f5b4e40
  vcvtdq2ps c5f85bca c5785b4e41 c5f85bdb c4c17c5bca c5fc5bdb c5fc5b4e41
  cvtps2dq 660f5bca 66450f5bca 660f5bdb 660f5b4e40
  vcvtps2dq c5f95bca c5795b4e41 c5f95bdb c4c17d5bca c5fd5bdb c5fd5b4e41
  cvttps2dq f30f5bca f3450f5bca f30f5bdb f30f5b4e40
  vcvttps2dq c5fa5bca c57a5b4e41 c5fa5bdb c4c17e5bca c5fe5bdb c5fe5b4e41
  cvtdq2pd f30fe6ca f3450fe6ca f30fe6db f30fe64e40
  vcvtdq2pd c5fae6ca c57ae64e41 c5fae6db c4c17ee6ca c5fee6db c5fee64e41
  cvtps2pd 0f5aca 450f5aca 0f5adb 0f5a4e40
  vcvtps2pd c5f85aca c5785a4e41 c5f85adb c4c17c5aca c5fc5adb c5fc5a4e41
  cvtpd2ps 660f5aca 660f5adb 660f5a4e40
  vcvtpd2ps c5f95aca c5f95a4e41 c5fd5aca c5fd5adb c5fd5a4e41
  cvtpd2dq f20fe6ca f20fe6db f20fe64e40
  vcvtpd2dq c5fbe6ca c5fbe64e41 c5ffe6ca c5ffe6db c5ffe64e41
  cvttpd2dq 660fe6ca 660fe6db 660fe64e40
  vcvttpd2dq c5f9e6ca c5f9e64e41 c5fde6ca c5fde6db c5fde64e41
  vfmadd132ps c4e26998cb c46269984e41 c4e26998db c4c23598ca c4e26d98db c4e275984e41
  vfmadd132pd c4e2e998cb c462e9984e41 c4e2e998db c4c2b598ca c4e2ed98db c4e2f5984e41
  vfmadd132ss c4e26999cb c46269994e41 c4e26999db
  vfmadd132sd c4e2e999cb c462e9994e41 c4e2e999db
  vfmadd213ps c4e269a8cb c46269a84e41 c4e269a8db c4c235a8ca c4e26da8db c4e275a84e41
  vfmadd213pd c4e2e9a8cb c462e9a84e41 c4e2e9a8db c4c2b5a8ca c4e2eda8db c4e2f5a84e41
  vfmadd213ss c4e269a9cb c46269a94e41 c4e269a9db
  vfmadd213sd c4e2e9a9cb c462e9a94e41 c4e2e9a9db
  vfmadd231ps c4e269b8cb c46269b84e41 c4e269b8db c4c235b8ca c4e26db8db c4e275b84e41
  vfmadd231pd c4e2e9b8cb c462e9b84e41 c4e2e9b8db c4c2b5b8ca c4e2edb8db c4e2f5b84e41
  vfmadd231ss c4e269b9cb c46269b94e41 c4e269b9db
  vfmadd231sd c4e2e9b9cb c462e9b94e41 c4e2e9b9db
  vfmsub132ps c4e2699acb c462699a4e41 c4e2699adb c4c2359aca c4e26d9adb c4e2759a4e41
  vfmsub132pd c4e2e99acb c462e99a4e41 c4e2e99adb c4c2b59aca c4e2ed9adb c4e2f59a4e41
  vfmsub132ss c4e2699bcb c462699b4e41 c4e2699bdb
  vfmsub132sd c4e2e99bcb c462e99b4e41 c4e2e99bdb
  vfmsub213ps c4e269aacb c46269aa4e41 c4e269aadb c4c235aaca c4e26daadb c4e275aa4e41
  vfmsub213pd c4e2e9aacb c462e9aa4e41 c4e2e9aadb c4c2b5aaca c4e2edaadb c4e2f5aa4e41
  vfmsub213ss c4e269abcb c46269ab4e41 c4e269abdb
  vfmsub213sd c4e2e9abcb c462e9ab4e41 c4e2e9abdb
  vfmsub231ps c4e269bacb c46269ba4e41 c4e269badb c4c235baca c4e26dbadb c4e275ba4e41
  vfmsub231pd c4e2e9bacb c462e9ba4e41 c4e2e9badb c4c2b5baca c4e2edbadb c4e2f5ba4e41
  vfmsub231ss c4e269bbcb c46269bb4e41 c4e269bbdb
  vfmsub231sd c4e2e9bbcb c462e9bb4e41 c4e2e9bbdb
  vfnmadd132ps c4e2699ccb c462699c4e41 c4e2699cdb c4c2359cca c4e26d9cdb c4e2759c4e41
  vfnmadd132pd c4e2e99ccb c462e99c4e41 c4e2e99cdb c4c2b59cca c4e2ed9cdb c4e2f59c4e41
  vfnmadd132ss c4e2699dcb c462699d4e41 c4e2699ddb
  vfnmadd132sd c4e2e99dcb c462e99d4e41 c4e2e99ddb
  vfnmadd213ps c4e269accb c46269ac4e41 c4e269acdb c4c235acca c4e26dacdb c4e275ac4e41
  vfnmadd213pd c4e2e9accb c462e9ac4e41 c4e2e9acdb c4c2b5acca c4e2edacdb c4e2f5ac4e41
  vfnmadd213ss c4e269adcb c46269ad4e41 c4e269addb
  vfnmadd213sd c4e2e9adcb c462e9ad4e41 c4e2e9addb
  vfnmadd231ps c4e269bccb c46269bc4e41 c4e269bcdb c4c235bcca c4e26dbcdb c4e275bc4e41
  vfnmadd231pd c4e2e9bccb c462e9bc4e41 c4e2e9bcdb c4c2b5bcca c4e2edbcdb c4e2f5bc4e41
  vfnmadd231ss c4e269bdcb c46269bd4e41 c4e269bddb
  vfnmadd231sd c4e2e9bdcb c462e9bd4e41 c4e2e9bddb
  vfnmsub132ps c4e2699ecb c462699e4e41 c4e2699edb c4c2359eca c4e26d9edb c4e2759e4e41
  vfnmsub132pd c4e2e99ecb c462e99e4e41 c4e2e99edb c4c2b59eca c4e2ed9edb c4e2f59e4e41
  vfnmsub132ss c4e2699fcb c462699f4e41 c4e2699fdb
  vfnmsub132sd c4e2e99fcb c462e99f4e41 c4e2e99fdb
  vfnmsub213ps c4e269aecb c46269ae4e41 c4e269aedb c4c235aeca c4e26daedb c4e275ae4e41
  vfnmsub213pd c4e2e9aecb c462e9ae4e41 c4e2e9aedb c4c2b5aeca c4e2edaedb c4e2f5ae4e41
  vfnmsub213ss c4e269afcb c46269af4e41 c4e269afdb
  vfnmsub213sd c4e2e9afcb c462e9af4e41 c4e2e9afdb
  vfnmsub231ps c4e269becb c46269be4e41 c4e269bedb c4c235beca c4e26dbedb c4e275be4e41
  vfnmsub231pd c4e2e9becb c462e9be4e41 c4e2e9bedb c4c2b5beca c4e2edbedb c4e2f5be4e41
  vfnmsub231ss c4e269bfcb c46269bf4e41 c4e269bfdb
  vfnmsub231sd c4e2e9bfcb c462e9bf4e41 c4e2e9bfdb
  vfmaddsub132ps c4e26996cb c46269964e41 c4e26996db c4c23596ca c4e26d96db c4e275964e41
  vfmaddsub132pd c4e2e996cb c462e9964e41 c4e2e996db c4c2b596ca c4e2ed96db c4e2f5964e41
  vfmaddsub213ps c4e269a6cb c46269a64e41 c4e269a6db c4c235a6ca c4e26da6db c4e275a64e41
  vfmaddsub213pd c4e2e9a6cb c462e9a64e41 c4e2e9a6db c4c2b5a6ca c4e2eda6db c4e2f5a64e41
  vfmaddsub231ps c4e269b6cb c46269b64e41 c4e269b6db c4c235b6ca c4e26db6db c4e275b64e41
  vfmaddsub231pd c4e2e9b6cb c462e9b64e41 c4e2e9b6db c4c2b5b6ca c4e2edb6db c4e2f5b64e41
  vfmsubadd132ps c4e26997cb c46269974e41 c4e26997db c4c23597ca c4e26d97db c4e275974e41
  vfmsubadd132pd c4e2e997cb c462e9974e41 c4e2e997db c4c2b597ca c4e2ed97db c4e2f5974e41
  vfmsubadd213ps c4e269a7cb c46269a74e41 c4e269a7db c4c235a7ca c4e26da7db c4e275a74e41
  vfmsubadd213pd c4e2e9a7cb c462e9a74e41 c4e2e9a7db c4c2b5a7ca c4e2eda7db c4e2f5a74e41
  vfmsubadd231ps c4e269b7cb c46269b74e41 c4e269b7db c4c235b7ca c4e26db7db c4e275b74e41
  vfmsubadd231pd c4e2e9b7cb c462e9b74e41 c4e2e9b7db c4c2b5b7ca c4e2edb7db c4e2f5b74e41
  cmpps 0fc2ca/00-07 0fc24e40/00-07
  cmppd 660fc2ca/00-07 660fc24e40/00-07
  cmpss f30fc2ca/00-07 f30fc24e40/00-07
  cmpsd f20fc2ca/00-07 f20fc24e40/00-07
  vcmpps c5e8c2cb/00-1f c5ecc2cb/00-1f
  vcmppd c5e9c2cb/00-1f c5edc2cb/00-1f
  vcmpss c5eac2cb/00-1f
  vcmpsd c5ebc2cb/00-1f
  roundps 660f3a08ca/00-0f 66450f3a08ca/00-0f 660f3a08db/00-0f 660f3a084e40/00-0f
  vroundps c4e37908ca/00-0f c46379084e41/00-0f c4e37908db/00-0f c4c37d08ca/00-0f c4e37d08db/00-0f c4e37d084e41/00-0f
  roundpd 660f3a09ca/00-0f 66450f3a09ca/00-0f 660f3a09db/00-0f 660f3a094e40/00-0f
  vroundpd c4e37909ca/00-0f c46379094e41/00-0f c4e37909db/00-0f c4c37d09ca/00-0f c4e37d09db/00-0f c4e37d094e41/00-0f
  roundss 660f3a0aca/00-0f 66450f3a0aca/00-0f 660f3a0adb/00-0f 660f3a0a4e40/00-0f
  vroundss c4e3690acb/00-0f c463690a4e41/00-0f c4e3690adb/00-0f
  roundsd 660f3a0bca/00-0f 66450f3a0bca/00-0f 660f3a0bdb/00-0f 660f3a0b4e40/00-0f
  vroundsd c4e3690bcb/00-0f c463690b4e41/00-0f c4e3690bdb/00-0f
  dpps 660f3a40ca/00,1a,31,7f,a5,f2,ff 66450f3a40ca/00,1a,31,7f,a5,f2,ff 660f3a40db/00,1a,31,7f,a5,f2,ff 660f3a404e40/00,1a,31,7f,a5,f2,ff
  vdpps c4e36940cb/00,1a,31,7f,a5,f2,ff c46369404e41/00,1a,31,7f,a5,f2,ff c4e36940db/00,1a,31,7f,a5,f2,ff c4c33540ca/00,1a,31,7f,a5,f2,ff
  vdpps c4e36d40db/00,1a,31,7f,a5,f2,ff c4e375404e41/00,1a,31,7f,a5,f2,ff
  dppd 660f3a41ca/01,10,13,22,31,33,ff 66450f3a41ca/01,10,13,22,31,33,ff 660f3a41db/01,10,13,22,31,33,ff 660f3a414e40/01,10,13,22,31,33,ff
  vdppd c4e36941cb/01,10,13,22,31,33,ff c46369414e41/01,10,13,22,31,33,ff c4e36941db/01,10,13,22,31,33,ff
  cvtsi2ss f30f2ac9 f30f2a4e43 f3480f2ac9 f3480f2a4e43
  vcvtsi2ss c5ea2ac9 c5ea2a4e43 c4e1ea2ac9 c4e1ea2a4e43
  cvtsi2sd f20f2ac9 f20f2a4e43 f2480f2ac9 f2480f2a4e43
  vcvtsi2sd c5eb2ac9 c5eb2a4e43 c4e1eb2ac9 c4e1eb2a4e43
  cvtss2si f30f2dca f30f2d4e43 f3480f2dca f3480f2d4e43
  vcvtss2si c5fa2dca c5fa2d4e43 c4e1fa2dca c4e1fa2d4e43
  cvttss2si f30f2cca f30f2c4e43 f3480f2cca f3480f2c4e43
  vcvttss2si c5fa2cca c5fa2c4e43 c4e1fa2cca c4e1fa2c4e43
  cvtsd2si f20f2dca f20f2d4e43 f2480f2dca f2480f2d4e43
  vcvtsd2si c5fb2dca c5fb2d4e43 c4e1fb2dca c4e1fb2d4e43
  cvttsd2si f20f2cca f20f2c4e43 f2480f2cca f2480f2c4e43
  vcvttsd2si c5fb2cca c5fb2c4e43 c4e1fb2cca c4e1fb2c4e43
  comiss 0f2fca 0f2f4e43 0f2fd2
  vcomiss c5f82fca c5f82f4e43 c5f82fd2
  comisd 660f2fca 660f2f4e43 660f2fd2
  vcomisd c5f92fca c5f92f4e43 c5f92fd2
  ucomiss 0f2eca 0f2e4e43 0f2ed2
  vucomiss c5f82eca c5f82e4e43 c5f82ed2
  ucomisd 660f2eca 660f2e4e43 660f2ed2
  vucomisd c5f92eca c5f92e4e43 c5f92ed2
  vcvtph2ps c4e27913ca c4e27913db c4e279134e43 c4e27d13ca c4e27d13db c4e27d134e43
  vcvtps2ph c4e3791dd1/00-07 c4e3791ddb/00-07 c4e3791d5643/00-07 c4e37d1dd1/00-07 c4e37d1ddb/00-07 c4e37d1d5643/00-07
  """
