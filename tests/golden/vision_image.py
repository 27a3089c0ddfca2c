# SPDX-License-Identifier: Apache-2.0
"""Prints the golden numbers and PNG files of tests/unit/vision_image_golden.h. Needs torch and numpy."""
import torch, numpy as np, zlib, struct
import torch.nn.functional as F
W,H=7,5
def src():
    a=np.zeros((H,W,3),np.uint8)
    for y in range(H):
        for x in range(W):
            for c in range(3): a[y,x,c]=(x*37+y*59+c*101+x*y*7)%256
    return a
def sample(a,sx,sy,pad):
    t=torch.tensor(a.transpose(2,0,1)[None].astype(np.float32))
    gx=(sx+0.5)*2/W-1; gy=(sy+0.5)*2/H-1     # align_corners=False: -1 is the left edge of pixel 0
    g=torch.tensor(np.stack([gx,gy],-1)[None].astype(np.float32))
    return F.grid_sample(t,g,mode='bilinear',padding_mode=pad,align_corners=False)[0].numpy().transpose(1,2,0)
def show(name,v):
    f=np.asarray(v).reshape(-1)
    print('static const float %s[] = {'%name)
    for i in range(0,len(f),16): print('\t'+' '.join('%.2ff,'%x for x in f[i:i+16]))
    print('};')
a=src()
ow,oh=6,4
jx,jy=np.meshgrid(np.arange(ow),np.arange(oh))
bx,by,bw,bh=-1.0,0.75,6.5,5.0
show('golden_crop',sample(a,bx+(jx+.5)*bw/ow-.5,by+(jy+.5)*bh/oh-.5,'border'))
h=np.array([.9,.2,-1.3,-.15,1.1,.4,.02,-.03,1.])
d=h[6]*jx+h[7]*jy+h[8]
px=(h[0]*jx+h[1]*jy+h[2])/d; py=(h[3]*jx+h[4]*jy+h[5])/d
show('golden_warp_border',sample(a,px,py,'border'))
show('golden_warp_reflect',sample(a,px*1.0,py*1.0,'reflection'))
def png(name,w,h,depth,ctype,rows,extra=b''):
    def ch(t,d): return struct.pack('>I',len(d))+t+d+struct.pack('>I',zlib.crc32(t+d))
    b=b'\x89PNG\r\n\x1a\n'+ch(b'IHDR',struct.pack('>IIBBBBB',w,h,depth,ctype,0,0,0))+extra+ch(b'IDAT',zlib.compress(b''.join(b'\0'+r for r in rows),9))+ch(b'IEND',b'')
    print('static const uint8_t %s[] = {'%name)
    for i in range(0,len(b),24): print('\t'+' '.join('%d,'%x for x in b[i:i+24]))
    print('};')
def ch(t,d): return struct.pack('>I',len(d))+t+d+struct.pack('>I',zlib.crc32(t+d))
png('png_grey16',2,1,16,0,[struct.pack('>HH',0x1234,0xfffe)])
png('png_rgb16',1,1,16,2,[struct.pack('>HHH',0x8000,0x40ff,0xff00)])
png('png_alpha',2,1,8,6,[bytes([200,100,50,255, 200,100,50,128])])
png('png_palette_trns',3,1,8,3,[bytes([0,1,1])],ch(b'PLTE',bytes([10,20,30,200,100,50]))+ch(b'tRNS',bytes([255,0])))
png('png_grey1',8,1,1,0,[bytes([0xaa])])
png('png_huge',60000,60000,8,2,[b'\0'])
